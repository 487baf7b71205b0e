"""Time of one step, by pytest-benchmark: inference, ZO, FedAvg on the same batch."""

from __future__ import annotations

import math
from typing import Any

from bench import paper
from bench.cases import with_parameters
from bench.frugal_steps import FRUGAL_METHODS
from bench.model_names import model_label
from bench.record import median
from bench.scales import Scale
from bench.suite import Suite
from bench.workloads import STEP_METHODS, make_step


def steps_in_round(method: str, batch: int) -> int | None:
    """Count the timed steps that a client of the paper does in one round; None for inference.

    A ZO client takes the difference of S directions over its whole shard, a FedAvg client three
    epochs over it.
    """
    kind = method.split("-", maxsplit=1)[0]  # a frugal way does as many
    passes = {"zo": paper.DIRECTIONS, "fedavg": paper.LOCAL_EPOCHS, "backprop": paper.LOCAL_EPOCHS}
    count = passes.get(kind)
    return None if count is None else count * math.ceil(paper.CLIENT_IMAGES / batch)


def _cases(scale: Scale) -> list[tuple[str, str, int]]:
    return [
        (model, method, batch)
        for model in scale.time_models
        for batch in scale.time_batches
        for method in STEP_METHODS
    ] + [
        (model, method, paper.BATCH)
        for model in (scale.frugal_models if scale.frugal_timed else ())
        for method in FRUGAL_METHODS
    ]


@with_parameters("model, method, batch", _cases)
def test_step_time(suite: Suite, benchmark: Any, model: str, method: str, batch: int) -> None:
    """Time a step after one burn-in, one call a repeat."""
    step = make_step(model, method, batch, suite.device_type)
    benchmark.pedantic(step, rounds=suite.scale.time_repeats, iterations=1, warmup_rounds=1)
    metric = median(benchmark.stats.stats.data, "second", "pytest-benchmark pedantic, wall time")
    steps = steps_in_round(method, batch)
    metrics = {"step": metric}
    if steps is not None:
        rounds = [steps * seconds for seconds in metric.samples]
        metrics["round_extrapolated"] = median(
            rounds, "second", f"step, times the {steps} steps of the paper's round"
        )
    suite.record(
        case=f"time/{model_label(model)}/{method}/b{batch}",
        config={
            "model": model_label(model),
            "source": model,
            "method": method,
            "batch": batch,
            "device": suite.device_type,
        },
        metrics=metrics,
        headline=f"{metric.value:7.3f} s a step (median of {metric.n})",
    )
