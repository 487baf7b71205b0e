"""Time, by pytest-benchmark, and energy of one step: inference, ZO, FedAvg on the same batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import devices
from bench import paper
from bench.format import format_seconds
from bench.records.case_name import CaseName
from bench.records.details.machine import TimeDetails
from bench.records.record import Metric
from bench.suite.parametrize import with_parameters
from bench.suite.scales import Scale
from bench.suite.suite import Suite
from bench.workloads.steps import STEP_METHODS, make_step
from bench.workloads.timing import time_once, without_warm_up
from devices.energy import NoEnergy, shortest_region_s
from zo_core.model_names import model_label

# on CUDA 3: convolutions in the run's precision, which was torch's default before
_CASE_VERSIONS = {"cpu": 2, "cuda": 3}
_TIMED_S = 2.0  # of short steps, so that what disturbs some of them does not disturb all
_MOST_REPEATS = 30
_ENERGY_REGION_S = 2.0  # of steps in a row: many periods of any counter or sensor


def repeats_of(step: Callable[[], object], least: int) -> int:
    """Choose how often a step is timed: a short one for two seconds, up to 30 times.

    Args:
        step: takes one step, and has been taken before.
        least: the scale's repeats; one is one, whatever the step takes.
    """
    if least == 1:
        return 1
    return max(least, min(_MOST_REPEATS, math.ceil(_TIMED_S / time_once(step))))


def step_energy(step: Callable[[], object], step_s: float) -> Metric:
    """Measure the joules of one step over many in a row, none of which is timed.

    Args:
        step: takes one step, and has been taken before.
        step_s: about how long it takes, in seconds.
    """
    meter = devices.energy_meter()
    region_s = max(_ENERGY_REGION_S, 1.2 * shortest_region_s(meter))
    repeats = 0 if isinstance(meter, NoEnergy) else math.ceil(region_s / step_s)
    meter.start()
    for _ in range(repeats):
        step()
    joules = meter.stop()
    if joules.value is None:
        return Metric.unmeasured("joule", joules.reason or "the meter gave none")
    return Metric.single(
        joules.value / repeats, "joule", f"{joules.method}, mean of {repeats} steps"
    )


def _cases(scale: Scale) -> list[tuple[str, str, int]]:
    return [
        (model, method, batch)
        for model in scale.time_models
        for batch in scale.time_batches
        for method in STEP_METHODS
    ] + [
        (model, method, paper.BATCH)
        for model in scale.low_memory_models
        for method in scale.low_memory_methods
    ]


@with_parameters("model, method, batch", _cases)
def test_step_time(suite: Suite, benchmark: Any, model: str, method: str, batch: int) -> None:
    """Time a step after a burn-in, one call per repeat; of ZO, one direction."""
    step = make_step(model, method, batch, suite.device_type, suite.precision)
    step()
    repeats = repeats_of(step, suite.scale.time_repeats)
    benchmark.pedantic(step, rounds=repeats, iterations=1)
    samples = without_warm_up(benchmark.stats.stats.data)
    metric = Metric.median(samples, "second", _how(repeats - len(samples)))
    timed = "direction" if paper.is_zo(method) else "step"
    suite.record(
        case=CaseName.time(model_label(model), method, batch),
        config={
            "model": model_label(model),
            "source": model,
            "method": method,
            "batch": batch,
            "device": suite.device_type,
            "precision": suite.precision,
        },
        metrics={
            timed: metric,
            "energy": step_energy(step, metric.value or _ENERGY_REGION_S),
        },
        details=TimeDetails(scalar_noise=suite.scalar_noise(model)),
        case_version=_CASE_VERSIONS[suite.device_type],
        headline=f"{format_seconds(metric.value or 0.0)} per {timed} (median of {metric.n})",
    )


def _how(discarded: int) -> str:
    how = "pytest-benchmark pedantic, wall time"
    return f"{how}, {discarded} warm-up samples discarded" if discarded else how
