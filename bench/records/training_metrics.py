"""The metrics of training runs, the same for one run of the command and the seeds of a case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.records.details.training import TrainDetails
from bench.records.record import Metric
from bench.records.typed_json import from_json

_OVER_ALL = "all clients, whole run"
# name -> unit, method, where a run has it
_METRICS: dict[str, tuple[str, str, Callable[[TrainDetails], float | None]]] = {
    "test_accuracy": (
        "share",
        "argmax on the fixed test split",
        lambda run: _last(run, "test_accuracy"),
    ),
    "high_accuracy": (
        "share",
        "argmax on the high-resource clients' pooled hold-outs",
        lambda run: _last(run, "high_accuracy"),
    ),
    "low_accuracy": (
        "share",
        "argmax on the low-resource clients' pooled hold-outs",
        lambda run: _last(run, "low_accuracy"),
    ),
    "worst_decile_accuracy": (
        "share",
        "mean over the tenth of the clients whose own hold-outs fare worst",
        lambda run: _last(run, "worst_decile_accuracy"),
    ),
    "up_scalar_bytes": (
        "byte",
        f"4 bytes a number, {_OVER_ALL}",
        lambda run: run.up_scalar_bytes,
    ),
    "up_payload_bytes": (
        "byte",
        f"encoded payloads, {_OVER_ALL}",
        lambda run: run.up_payload_bytes,
    ),
    "down_scalar_bytes": (
        "byte",
        f"4 bytes a number, {_OVER_ALL}, hand-over included",
        lambda run: run.down_scalar_bytes,
    ),
    "down_payload_bytes": (
        "byte",
        "encoded payloads, all clients, hand-over included",
        lambda run: run.down_payload_bytes,
    ),
    "forward_items": (
        "count",
        "items forward through the model, all clients and rounds",
        lambda run: sum(p.forward_items for p in run.passes_by_method.values()),
    ),
    "backward_items": (
        "count",
        "items backward through the model, all clients and rounds",
        lambda run: sum(p.backward_items for p in run.passes_by_method.values()),
    ),
    "elapsed_s": (
        "second",
        "wall time of all rounds",
        lambda run: sum(run.seconds_by_method.values()),
    ),
}
_NO_HOLDOUT = "no client of the group holds anything out"
_NO_TRANSPORT = "one process: no message crosses a transport"


def train_details(record: Any, peak: Mapping[str, Any]) -> TrainDetails:
    """Describe a finished run.

    Args:
        record: zo_core.federation.record.TrainingRecord.
        peak: devices.Measurement of the run, as JSON.
    """
    data = dict(record.to_json()) | {"verdict": record.verdict, "memory": dict(peak)}
    return from_json(TrainDetails, data)


def training_metrics(runs: Sequence[TrainDetails]) -> dict[str, Metric]:
    """Make the metrics of runs that differ in their seeds: the mean over them, or the one figure.

    Args:
        runs: at least one, from :func:`train_details`.
    """
    metrics = {
        name: _metric([get(run) for run in runs], unit, method, _NO_HOLDOUT)
        for name, (unit, method, get) in _METRICS.items()
    }
    readings = [run.memory["peak_above_baseline_bytes"] for run in runs]
    metrics["peak_above_baseline"] = _metric(
        [reading["value"] for reading in readings],
        "byte",
        readings[0]["method"],
        readings[0].get("reason") or "not measured",
    )
    return metrics | {"message_bytes": Metric.unmeasured("byte", _NO_TRANSPORT)}


def _metric(values: Sequence[float | None], unit: str, method: str, reason: str) -> Metric:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Metric.unmeasured(unit, reason)
    return (
        Metric.single(known[0], unit, method)
        if len(known) == 1
        else Metric.mean(known, unit, method)
    )


def _last(run: TrainDetails, name: str) -> float | None:
    value: float | None = getattr(run.last, name)
    return value
