"""A client's ZO round with torch and without it, and FedAvg's beside: memory, time, exactness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import devices
from bench.cases.edge_packaging import packaging_metrics
from bench.format import MIB, format_seconds
from bench.paper import CLIENT_IMAGES, DIRECTIONS
from bench.records.case_name import CaseName
from bench.records.details.arithmetic import ForwardArithmetic
from bench.records.details.machine import (
    LimitDetails,
    RoundDetails,
    ScalarErrors,
    TrainingDetails,
)
from bench.records.details.training import TrainDetails
from bench.records.record import Metric
from bench.records.typed_json import to_json
from bench.suite.parametrize import with_parameters
from bench.suite.scales import Scale
from bench.suite.suite import Suite
from bench.workloads.child import CASE_TIMEOUT_S, value_of
from bench.workloads.edge import EdgeTraining, RoundMemory, make_plan
from bench.workloads.edge_limit import completes, smallest_limit
from bench.workloads.steps import ONE_THREAD, RETURN_BLOCKS
from zo_core.model_names import model_label

_WHOLE_SET = (CLIENT_IMAGES, 8, DIRECTIONS)  # images, micro-batch, S
_COMPUTED = {"vit": 72}  # of a client's images, where all would take a quarter of an hour
_WARM_UPS = {"cnn": (300, 0.1), "resnet18": (40, 0.05), "vit": (60, 0.02)}  # steps, rate
_PRECISION_IMAGES, _PRECISION_SEEDS = {"cnn": 64, "resnet18": 64, "vit": 16}, 20
_LIMIT_ITEMS = 16  # computed over in a trial of a limit; all images are held
_LOW_BYTES, _HIGH_BYTES = 48 << 20, 640 << 20
_LIMITS = {"onnx_error": 0.01, "onnx_over_torch": 2.0}
_SCALARS = "dL along the same directions at the same weights, less that of a float64 forward"


Size = tuple[int, int, int]  # images, micro-batch, directions


def _rounds(scale: Scale) -> list[tuple[str, str, Size]]:
    """List model, client and size."""
    steps = [(m, (batch, batch, 1)) for m in scale.edge_models for batch in scale.edge_batches]
    whole = [(m, _WHOLE_SET) for m in scale.edge_full_set_models]
    return [(model, client, size) for model, size in steps + whole for client in scale.edge_clients]


@with_parameters("model, client, size", _rounds)
def test_round(suite: Suite, model: str, client: str, size: Size) -> None:
    """Measure a client's round in memory, and in time: one batch in a process of its own."""
    images, micro_batch, _ = size
    whole_set = images != micro_batch
    plan = make_plan(model, client, size) | {"items": _COMPUTED.get(model) if whole_set else None}
    memory = _run("measure_round_memory", plan)
    timed = None if whole_set else _run("time_round", plan, suite.scale.time_repeats)
    asked = _run("measure_client_arithmetic", plan) if client.startswith("onnx") else None
    failed = next((run for run in (memory, timed, asked) if run and run.status != "ok"), None)
    measured = value_of(memory, RoundMemory)
    metrics = {}
    if measured and not failed:
        batch_s = value_of(timed, tuple[float, ...]) if timed else None
        seconds = _batch_seconds(batch_s) if batch_s else _set_seconds(measured, plan)
        metrics = _peaks(measured) | {"round": seconds}
    suite.record(
        case=CaseName.edge(model_label(model), client, micro_batch, images if whole_set else None),
        config={
            **plan,
            "source": model,
            "model": model_label(model),
            "environment": RETURN_BLOCKS,
        },
        metrics=metrics,
        details=_round_details(measured, asked),
        status=failed.status if failed else "ok",
        error=failed.error if failed else None,
        headline="" if failed else _round_words(metrics),
    )


@with_parameters("model", lambda scale: scale.edge_precision_models)
def test_precision(suite: Suite, model: str) -> None:
    """Compare both back ends' scalars with those of a float64 forward, after a warm-up."""
    steps, lr = _WARM_UPS[model]
    config: dict[str, Any] = {
        "model": model,
        "images": _PRECISION_IMAGES[model],
        "seeds": _PRECISION_SEEDS,
        "steps": steps,
        "lr": lr,
        "micro_batch": 32,
    }
    run = devices.run_isolated(
        "bench.workloads.edge_precision:measure_precision", **config, timeout_s=CASE_TIMEOUT_S
    )
    found = value_of(run, ScalarErrors)
    metrics = _error_metrics(found) if found else {}
    suite.record(
        case=CaseName.of("edge", model_label(model), "precision"),
        config=config,
        metrics=metrics,
        details=to_json(found) | {"limits": _LIMITS} if found else {},
        status=run.status,
        error=run.error,
        headline=", ".join(f"{name} {m.value:.2e}" for name, m in metrics.items()),
    )


@with_parameters("model", lambda scale: scale.edge_trial_models)
def test_limit(suite: Suite, model: str) -> None:
    """Find the largest limit that kills the torch client, and let the other finish under it."""
    plans = {client: make_plan(model, client, _WHOLE_SET) for client in ("onnx-memory", "torch")}
    try:
        found = {
            client: smallest_limit(plan | {"items": _LIMIT_ITEMS}, _LOW_BYTES, _HIGH_BYTES)
            for client, plan in plans.items()
        }
    except (OSError, RuntimeError) as error:
        suite.record(
            case=CaseName.of("edge", model_label(model), "limit"),
            config={"model": model_label(model)},
            metrics={"limit": Metric.unmeasured("byte", str(error))},
            status="ok" if isinstance(error, OSError) else "error",
            error=None if isinstance(error, OSError) else str(error),
            headline=str(error),
        )
        return
    limit = found["torch"].fails_bytes
    whole = completes(plans["onnx-memory"], limit)
    there = value_of(whole, RoundMemory)
    asked = _run("measure_client_arithmetic", plans["onnx-memory"])
    failed = next((run for run in (whole, asked) if run.status != "ok"), None)
    how = f"{found['torch'].method}, swap included; found to 2 MiB"
    suite.record(
        case=CaseName.of("edge", model_label(model), "limit"),
        config={
            "model": model_label(model),
            "plans": {client: {**plan, "source": model} for client, plan in plans.items()},
            "environment": RETURN_BLOCKS,
        },
        metrics={
            "torch_fails": Metric.single(limit, "byte", how),
            "torch_completes": Metric.single(found["torch"].completes_bytes, "byte", how),
            "onnx_completes": Metric.single(found["onnx-memory"].completes_bytes, "byte", how),
            "onnx_peak_there": _bytes(there.process_peak_bytes if there else None, "VmHWM"),
        },
        details=LimitDetails(
            tried={client: tuple(one.tried) for client, one in found.items()},
            whole_round_without_torch=whole.status,
            arithmetic=value_of(asked, ForwardArithmetic),
            notes=(
                "A control group is charged with file pages that it reads first: libraries that "
                "another process holds in the page cache count for nobody here, so on a machine "
                "of that size each client needs its libraries' resident pages on top.",
            ),
        ),
        status=failed.status if failed else "ok",
        error=failed.error if failed else None,
        headline=f"torch is killed at {limit / MIB:.0f} MiB, where the other completes; the "
        f"other needs {found['onnx-memory'].completes_bytes / MIB:.0f} MiB",
    )


@with_parameters("seeds", lambda scale: scale.edge_training_seeds)
def test_training(suite: Suite, seeds: int) -> None:
    """Train on the digits with all low-resource clients on ONNX Runtime, and with none."""
    config = {
        "algorithm": "zowarmup",
        "dataset": "digits",
        "model": "cnn",
        "high_share": 0.1,
        "rounds": suite.scale.accuracy_rounds,
        "pivot": suite.scale.accuracy_pivot,
    }
    functions = (
        "bench.workloads.edge_training:train_with_edge_clients",
        "bench.workloads.steps:train",
    )
    sides = [[_train(name, config | {"run_seed": s}) for s in range(seeds)] for name in functions]
    failed = next((run for side in sides for run in side if run.status != "ok"), None)
    edge = [found for run in sides[0] if (found := value_of(run, EdgeTraining))]
    torch = [trained for run in sides[1] if (trained := value_of(run, TrainDetails))]
    metrics = {} if failed else _training_metrics(edge, torch)
    digests = tuple(tuple(str(run.digest) for run in side) for side in (edge, torch))
    suite.record(
        case=CaseName.of("edge", "cnn", "training"),
        config=config | {"run_seed": list(range(seeds))},
        metrics=metrics,
        details={}
        if failed
        else TrainingDetails(digests=digests, arithmetic=tuple(run.arithmetic for run in edge)),
        status=failed.status if failed else "ok",
        error=failed.error if failed else None,
        headline=", ".join(f"{name} {m.value:.3f}" for name, m in metrics.items()),
    )


@with_parameters("name", lambda scale: ["packaging"] if scale.edge_trial_models else [])
def test_packaging(suite: Suite, name: str) -> None:
    """Weigh what a client needs to have installed, and time its import."""
    metrics, details = packaging_metrics()
    suite.record(
        case=CaseName.of("edge", name),
        config={"model": "none"},
        metrics=metrics,
        details=details,
        headline=", ".join(
            f"{key} {metric.value:.3g}"
            for key, metric in metrics.items()
            if metric.value is not None
        ),
    )


def _run(function: str, *arguments: Any) -> devices.IsolatedResult:
    target = f"bench.workloads.edge:{function}"
    return devices.run_isolated(target, *arguments, timeout_s=CASE_TIMEOUT_S, env=RETURN_BLOCKS)


def _train(function: str, config: dict[str, Any]) -> devices.IsolatedResult:
    return devices.run_isolated(function, config, timeout_s=CASE_TIMEOUT_S, env=ONE_THREAD)


def _round_details(
    measured: RoundMemory | None, asked: devices.IsolatedResult | None
) -> RoundDetails:
    arithmetic = value_of(asked, ForwardArithmetic) if asked else None
    if measured is None:
        return RoundDetails(measurement=None, arithmetic=arithmetic)
    peak = {"process_peak_bytes": measured.process_peak_bytes}
    return RoundDetails(measurement=measured.region.to_json() | peak, arithmetic=arithmetic)


def _peaks(memory: RoundMemory) -> dict[str, Metric]:
    above, how = memory.region.peak_above_baseline_bytes.value, memory.region.peak_bytes.method
    return {
        "process_peak": _bytes(memory.process_peak_bytes, f"{how}, since the process began"),
        "peak_above_baseline": _bytes(above, f"{how}, in the round"),
    }


def _batch_seconds(seconds: Sequence[float]) -> Metric:
    return Metric.median(seconds, "second", "wall time in another process, after a round")


def _set_seconds(memory: RoundMemory, plan: dict[str, Any]) -> Metric:
    """Take the measured round's own time: against minutes the meter's work is nothing."""
    images, items = plan["images"], plan["items"] or plan["images"]
    part = "" if items == images else f" over {items} images, times {images} / {items}"
    seconds = memory.region.seconds.value or 0.0
    return Metric.single(seconds * images / items, "second", f"wall time{part}")


def _bytes(value: float | None, method: str) -> Metric:
    if value is None:
        return Metric.unmeasured("byte", "this system keeps no high-water mark")
    return Metric.single(value, "byte", method)


def _round_words(metrics: dict[str, Metric]) -> str:
    peak, above = metrics["process_peak"].value, metrics["peak_above_baseline"].value
    memory = "no peak" if peak is None else f"{peak / MIB:6.1f} MiB in all"
    more = "" if above is None else f", {above / MIB:6.1f} above the loaded model"
    return f"{memory}{more}, {format_seconds(metrics['round'].value or 0.0)}"


def _error_metrics(found: ScalarErrors) -> dict[str, Metric]:
    metrics = {}
    for name, error in found.error_rms.items():
        metrics[f"{name}_error"] = Metric.single(error / found.rms, "share", _SCALARS)
    for name, correlation in found.correlation.items():
        metric = Metric.single(correlation, "number", "of dL with float64's")
        metrics[f"{name}_correlation"] = metric
    ratio = found.error_rms["onnx"] / found.error_rms["torch"]
    return metrics | {"onnx_over_torch": Metric.single(ratio, "ratio", "RMS errors")}


def _training_metrics(
    edge: Sequence[EdgeTraining], torch: Sequence[TrainDetails]
) -> dict[str, Metric]:
    how = "argmax on the fixed test split"
    equal = [float(run.digest == run.edge_digest) for run in edge]
    checked = [float(run.rounds_checked) for run in edge]
    return {
        "onnx_test_accuracy": Metric.mean([run.test_accuracy for run in edge], "share", how),
        "torch_test_accuracy": Metric.mean([run.last.accuracy for run in torch], "share", how),
        "one_digest": Metric.mean(equal, "share", "runs whose replicas ended with one digest"),
        "rounds_checked": Metric.mean(
            checked, "count", "results after which digests were compared"
        ),
    }
