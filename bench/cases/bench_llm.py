"""Language models at their own scale: what a step needs, what fits where, what a round sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

import devices
from bench.format import MIB
from bench.paper import COHORT, DIRECTIONS
from bench.records.case_name import CaseName, size_part
from bench.records.details.machine import FitsDetails, PredictedStep, StepDetails
from bench.records.record import Metric
from bench.suite.parametrize import with_parameters
from bench.suite.scales import Scale
from bench.suite.suite import Suite
from bench.workloads.child import CASE_TIMEOUT_S, reading_metric, value_of
from bench.workloads.llm import LMStep
from bench.workloads.llm_precision import EPSILON, PrecisionRun
from bench.workloads.steps import RETURN_BLOCKS
from zo_core.model_names import model_label
from zo_core.payloads.core import DenseWeights, Payload, RoundResult, ScalarUpdate, SeedPool

CANDIDATES = 1024  # K of FedKSeed's authors for their language models
STEPS = 200  # theirs a round, each along another candidate at worst
_ANY: dict[str, Any] = {"run_id": 1, "round_index": 0}
_TENSORS = "sum of live tensor storage, seen at torch's dispatcher"
_META = "the same, on fake tensors; weights included"


def _step_cases(scale: Scale) -> list[tuple[str, str, int, int | None]]:
    return [
        (model, method, batch, None)
        for model in scale.lm_models
        for batch in scale.lm_batches
        for method in ("inference", "zo")
    ] + [(model, "fedavg", 1, scale.lm_limit_bytes) for model in scale.lm_models]


@with_parameters("model, method, batch, limit", _step_cases)
def test_step(suite: Suite, model: str, method: str, batch: int, limit: int | None) -> None:
    """Measure one step in a fresh process; backprop under a limit that may end it."""
    run = devices.run_isolated(
        *("bench.workloads.llm:measure_lm_step", model, method, batch),
        timeout_s=CASE_TIMEOUT_S,
        limit_bytes=limit,
    )
    found = value_of(run, LMStep)
    metrics = _step_metrics(found) if found else {}
    suite.record(
        case=CaseName.of("llm", model_label(model), method, size_part(batch)),
        config={
            "model": model_label(model),
            "source": model,
            "method": method,
            "batch": batch,
            "limit_bytes": limit,
            "environment": RETURN_BLOCKS,
        },
        metrics=metrics,
        details=StepDetails(
            region=found.region.to_json() if found else None,
            tensor_by_category=found.tensor_by_category if found else None,
            limits={"perturb / add": 1.3} if "perturb / add" in metrics else {},
            phase=run.phase,
            limit_method=run.limit_method,
            limit_peak_bytes=run.limit_peak_bytes.value,
        ),
        status=run.status,
        error=run.error,
        case_version=2,
        headline=_headline(metrics) if metrics else "",
    )


def _step_metrics(found: LMStep) -> dict[str, Metric]:
    region = found.region
    metrics = {
        "tensor_peak": Metric.single(found.tensor_peak_bytes, "byte", f"{_TENSORS}; weights too"),
        "parameters": Metric.single(
            found.parameters, "count", "trainable elements, tied ones once"
        ),
        "step": replace(reading_metric(region.seconds), method="wall time of the measured step"),
        "peak": reading_metric(region.peak_bytes),
        "baseline": reading_metric(region.baseline_bytes),
        "peak_above_baseline": reading_metric(region.peak_above_baseline_bytes),
    }
    if found.perturb_per_add:
        how = "perf_counter, turn by turn over the model's own tensors"
        metrics["perturb / add"] = Metric.median(found.perturb_per_add, "ratio", how)
    return metrics


def _headline(metrics: Mapping[str, Metric]) -> str:
    peak, tensors = metrics["peak"].value, metrics["tensor_peak"].value
    words = f"tensors {(tensors or 0) / MIB:,.0f} MiB"
    words += "" if peak is None else f", process {peak / MIB:,.0f} MiB"
    ratio = metrics.get("perturb / add")
    return words if ratio is None else f"{words}, perturb {ratio.value:.2f} scalar adds"


def test_precision(suite: Suite) -> None:
    """Say what restore error does to a language model, by dtype, with the grid and without."""
    config = {"cycles": 200, "steps": 100, "lr": 1e-4, "epsilon": EPSILON}
    run = devices.run_isolated(
        "bench.workloads.llm_precision:compare_precisions",
        *(config[name] for name in ("cycles", "steps", "lr")),
        timeout_s=CASE_TIMEOUT_S,
    )
    found = value_of(run, dict[str, PrecisionRun]) or {}
    how = "mean loss of a small model that counts; a run a mode"
    suite.record(
        case=CaseName.of("llm", "precision"),
        config={"model": "lm-tiny-llama", **config},
        metrics={
            f"{mode}: {name}": Metric.single(value, "share" if name == "changed" else "nat", how)
            for mode, figures in found.items()
            for name, value in asdict(figures).items()
        },
        status=run.status,
        error=run.error,
        headline=", ".join(
            f"{mode} {one.before:.4f} to {one.after_steps:.4f}" for mode, one in found.items()
        ),
    )


@with_parameters("model", lambda scale: scale.lm_models)
def test_fits(suite: Suite, model: str) -> None:
    """Count the tensors of steps without the memory, and say which devices they fit on."""
    batches = (1, 8)
    run = devices.run_isolated(
        *("bench.workloads.llm:predict_lm_tensors", model, batches), timeout_s=CASE_TIMEOUT_S
    )
    steps = value_of(run, tuple[PredictedStep, ...]) or ()
    metrics = {f"{s.variant}, b{s.batch}": Metric.single(s.bytes, "byte", _META) for s in steps}
    suite.record(
        case=CaseName.of("llm", model_label(model), "fits"),
        config={"model": model_label(model), "source": model, "batches": list(batches)},
        metrics=metrics,
        details=FitsDetails(
            steps=steps,
            fits={name: _fitting(steps, memory) for name, memory in _memories().items()},
            memory_bytes=_memories(),
        ),
        status=run.status,
        error=run.error,
        case_version=3,
        headline=", ".join(f"{s.variant} {s.bytes / MIB:,.0f} MiB" for s in steps if s.batch == 1),
    )


def _memories() -> dict[str, int]:
    """Memory of the catalogue's devices, where it is known."""
    known = {name: devices.find_device(name).memory_bytes for name in devices.CATALOG}
    return {name: memory for name, memory in known.items() if memory is not None}


def _fitting(steps: Sequence[PredictedStep], memory_bytes: int) -> tuple[str, ...]:
    """List the steps whose tensors alone fit; a runtime and a system come to them."""
    return tuple(f"{s.variant}, b{s.batch}" for s in steps if s.bytes <= memory_bytes)


@with_parameters("model", lambda scale: scale.lm_models)
def test_round_bytes(suite: Suite, model: str) -> None:
    """Count what a client sends and receives in a round of each method."""
    run = devices.run_isolated("bench.workloads.llm:count_parameters_of", model)
    sizes = _round_bytes(int(run.value)) if run.status == "ok" else {}
    suite.record(
        case=CaseName.of("llm", model_label(model), "bytes"),
        config={
            "model": model_label(model),
            "source": model,
            "directions": DIRECTIONS,
            "cohort": COHORT,
            "candidates": CANDIDATES,
        },
        metrics={
            f"{method}, {link}": Metric.single(size, "byte", "length of the encoded payload")
            for method, by_direction in sizes.items()
            for link, size in by_direction.items()
        },
        status=run.status,
        error=run.error,
        headline=", ".join(
            f"{method} {by_direction['up']:,} B up" for method, by_direction in sizes.items()
        ),
    )


def _round_bytes(parameters: int) -> dict[str, dict[str, int]]:
    """Size one client's payloads by method; a dense one's numbers are never touched."""
    dense = DenseWeights(slot=0, samples=1, values=np.empty(parameters, np.float32), **_ANY)
    pool = SeedPool(
        slot=0, samples=1, digest=bytes(8), scalars=np.ones(CANDIDATES, np.float32), **_ANY
    )
    sent = replace(pool, scalars=np.where(np.arange(CANDIDATES) < STEPS, pool.scalars, 0))
    payloads: dict[str, tuple[Payload, Payload]] = {"fedavg": (dense, dense)}
    payloads["fedkseed"] = (sent, pool)
    for directions in (1, DIRECTIONS):
        update = ScalarUpdate(
            slot=0, digest=bytes(8), differences=np.ones(directions, np.float32), **_ANY
        )
        result = RoundResult(
            digest=bytes(8),
            participates=np.ones(COHORT, np.bool_),
            differences=np.ones((COHORT, directions), np.float32),
            **_ANY,
        )
        payloads[f"one-step, S = {directions}"] = (update, result)
    return {
        method: {"up": up.num_bytes, "down": down.num_bytes}
        for method, (up, down) in payloads.items()
    }
