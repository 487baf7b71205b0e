"""Peak memory of one step: inference, ZO, FedAvg; each sample from a fresh process.

Beside the process-level peak, which is what a device must have, stands the tensor-level one, which
is what the formulas talk about: from another process, since the tracker slows the step down and
has memory of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import psutil

import devices
from bench.format import format_bytes
from bench.paper import BATCH, CLIENT_IMAGES
from bench.records.case_name import CaseName
from bench.records.details.machine import MemoryDetails
from bench.records.record import Metric
from bench.records.step_memory import (
    HOST,
    WITH_BUFFERS,
    StepMemory,
    implausible_peak,
    memory_of,
)
from bench.step_variants import NotAdmitted
from bench.suite.parametrize import with_parameters
from bench.suite.scales import Scale
from bench.suite.suite import Suite
from bench.workloads.child import CASE_TIMEOUT_S, value_of
from bench.workloads.steps import (
    BESIDE_OTHERS,
    RETURN_BLOCKS,
    STEP_METHODS,
    MeasuredStep,
    worked_through,
)
from devices.tensor_peak import TensorPeak
from zo_core.model_names import model_label

_FULL_SET_PROCESSES = 3  # their median moves little
_FULL_SET_METHODS = ("inference", "zo")
# on CUDA 4: the caches are emptied before the baseline; 5: convolutions in the run's precision,
# which was torch's default before
_CASE_VERSIONS = {"cpu": 3, "cuda": 5}
_PLENTY_BYTES = 8 << 30
_TENSORS = "sum of live tensor storage, seen at torch's dispatcher"


def _cases(scale: Scale) -> list[tuple[str, int, int | None]]:
    """List model, batch, and the images of a whole client set or None for one batch."""
    steps = [
        (model, batch, None) for model in scale.memory_models for batch in scale.memory_batches
    ]
    return steps + [
        (model, batch, CLIENT_IMAGES)
        for model in scale.full_set_models
        for batch in scale.full_set_micro_batches
    ]


@with_parameters("model, batch, images", _cases)
def test_step_memory(suite: Suite, model: str, batch: int, images: int | None) -> None:
    """Measure one step of each method at tensor level, and in fresh processes at process level."""
    processes = suite.scale.memory_processes
    methods: Sequence[str] = STEP_METHODS
    if images is not None:
        processes, methods = min(_FULL_SET_PROCESSES, processes), _FULL_SET_METHODS
    _measure(suite, (model, batch, images), methods, dict.fromkeys(methods, processes))


@with_parameters("model", lambda scale: scale.low_memory_models)
def test_low_memory_steps(suite: Suite, model: str) -> None:
    """Measure the steps that need less memory at the paper's batch, in one process each."""
    methods = suite.scale.low_memory_methods
    _measure(suite, (model, BATCH, None), methods, dict.fromkeys(methods, 1))


def _measure(
    suite: Suite,
    step: tuple[str, int, int | None],
    methods: Sequence[str],
    processes: Mapping[str, int],
) -> None:
    """Measure and record steps, all at tensor level and each in some processes of its own.

    Args:
        suite: the run.
        step: model, batch, images as in `_cases`.
        methods: what to measure, at tensor level by turns in one process.
        processes: of a method, at process level; none where it is not named.
    """
    model, batch, images = step
    run = partial(_run, device=suite.device_type, precision=suite.precision)

    def of(method: str) -> tuple[Any, ...]:
        return (model, method, batch, images)

    def tensors(*some: str) -> devices.IsolatedResult:
        return run("measure_tensor_peaks", (model, list(some), batch, images))

    with devices.IsolatedPool(processes_at_once()) as pool:
        begun = pool.submit(tensors, *methods)
        runs = {
            method: [pool.submit(run, "measure_step_memory", of(method)) for _ in range(count)]
            for method, count in processes.items()
        }
        ended = {method: [run.result() for run in some] for method, some in runs.items()}
        together = begun.result()
    for method in methods:
        # where the process was killed, by a method that needs the most, each has one of its own
        counted = together if together.status == "ok" else tensors(method)
        step_of = (model, method, batch, images)
        _record(suite, step_of, counted, ended.get(method, []))


def _record(
    suite: Suite,
    step: tuple[str, str, int, int | None],
    tensors: devices.IsolatedResult,
    runs: Sequence[devices.IsolatedResult],
) -> None:
    model, method, batch, images = step
    status, error = _failure(method, tensors, runs)
    measured = [found for run in runs if (found := value_of(run, MeasuredStep))]
    peak = _peak_of(tensors, method)
    metrics = _metrics(measured) | _tensor_metrics(peak) if peak and not error else {}
    if implausible := implausible_peak(suite.device_type, metrics):
        status, error, metrics = "error", implausible, {}
    suite.record(
        case=CaseName.memory(model_label(model), method, batch, images),
        config={
            "model": model_label(model),
            "source": model,
            "method": method,
            "batch": batch,
            "images": images or batch,
            "worked_through": worked_through(images or batch, batch),
            "processes": len(runs),
            "device": suite.device_type,
            "precision": suite.precision,
            "environment": RETURN_BLOCKS,
        },
        metrics=metrics,
        details=MemoryDetails(
            measurements=tuple(step.details() for step in measured),
            tensor_by_category=peak.by_category if peak else {},
            timeline_bytes=peak.timeline_bytes if peak else (),
            timeline_phases=peak.timeline_phases if peak else (),
            scalar_noise=suite.scalar_noise(model),
        ),
        status=status,
        error=error,
        case_version=_CASE_VERSIONS[suite.device_type],
        headline="" if not metrics else _headline(metrics, memory_of(suite.device_type, metrics)),
    )


def _failure(
    method: str, tensors: devices.IsolatedResult, runs: Sequence[devices.IsolatedResult]
) -> tuple[str, str | None]:
    """Return status and error of the first process that failed; "ok" and None where none did."""
    failed = next((run for run in (*runs, tensors) if run.status != "ok"), None)
    if failed is not None:
        return failed.status, failed.error
    found = _peaks_of(tensors)[method]
    return ("error", found.error) if isinstance(found, NotAdmitted) else ("ok", None)


def _peak_of(tensors: devices.IsolatedResult, method: str) -> TensorPeak | None:
    found = _peaks_of(tensors).get(method)
    return found if isinstance(found, TensorPeak) else None


def _peaks_of(tensors: devices.IsolatedResult) -> dict[str, TensorPeak | NotAdmitted]:
    return value_of(tensors, dict[str, TensorPeak | NotAdmitted]) or {}


def _run(function: str, arguments: Sequence[Any], **where: Any) -> devices.IsolatedResult:
    return devices.run_isolated(
        f"bench.workloads.steps:{function}",
        *arguments,
        **where,
        timeout_s=CASE_TIMEOUT_S,
        env=RETURN_BLOCKS | BESIDE_OTHERS,
    )


def processes_at_once() -> int:
    """Two where memory is plenty: a process's peak does not depend on its neighbour's."""
    return 2 if psutil.virtual_memory().available > _PLENTY_BYTES else 1


def _metrics(measured: Sequence[MeasuredStep]) -> dict[str, Metric]:
    """Take the host's figures, and the device's where there is one, over the processes."""
    if not measured:  # at tensor level alone
        return {}
    regions = [step.region for step in measured]
    metrics = {
        "peak_above_baseline": _median([r.peak_above_baseline_bytes for r in regions]),
        "peak": _median([r.peak_bytes for r in regions]),
        "baseline": _median([r.baseline_bytes for r in regions]),
    }
    on_device = [step.device for step in measured if step.device]
    names = [field.name for field in fields(devices.DeviceMemory) if field.name != "is_integrated"]
    for name in names if on_device else ():
        readings = [getattr(memory, name) for memory in on_device]
        metrics[f"device_{name.removesuffix('_bytes')}"] = _median(readings)
    return metrics


def _median(readings: Sequence[devices.Reading]) -> Metric:
    """Return the median; unmeasured where one of the readings has no value."""
    for reading in readings:
        if reading.value is None:
            return Metric(value=None, unit="byte", method=reading.method, reason=reading.reason)
    values = [reading.value for reading in readings if reading.value is not None]
    return Metric.median(values, "byte", readings[0].method)


def _tensor_metrics(peak: TensorPeak) -> dict[str, Metric]:
    with_buffers = peak.with_buffers_bytes - peak.baseline_bytes
    above = peak.peak_above_baseline_bytes
    return {
        "tensor_peak": Metric.single(
            peak.peak_bytes, "byte", f"{_TENSORS}; weights and inputs too"
        ),
        "tensor_peak_above_baseline": Metric.single(above, "byte", f"{_TENSORS}; made in the step"),
        WITH_BUFFERS: Metric.single(with_buffers, "byte", f"{_TENSORS}, and CPU kernels' buffers"),
    }


def _headline(metrics: dict[str, Metric], memory: StepMemory) -> str:
    tensors = format_bytes(metrics["tensor_peak_above_baseline"].value or 0.0)
    if memory.above not in metrics:
        return f"{tensors} of tensors made in the step"
    above, total = metrics[memory.above].value, metrics[memory.whole].value
    if above is None or total is None:
        return "no peak: see the record"
    return (
        f"{format_bytes(above)} {'' if memory is HOST else f'of {memory.name} '}above the loaded"
        f" model (tensors {tensors}), {format_bytes(total)} in all"
    )
