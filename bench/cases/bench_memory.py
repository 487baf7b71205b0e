"""Peak memory of one step: inference, ZO, FedAvg; each sample from a fresh process.

Beside the process-level peak, which is what a device must have, stands the tensor-level one, which
is what the formulas talk about: from another process, since the tracker slows the step down and
has memory of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import psutil

import devices
from bench.format import MIB
from bench.paper import BATCH, CLIENT_IMAGES
from bench.records.case_name import CaseName
from bench.records.details.memory import MemoryDetails
from bench.records.record import Metric, median, single
from bench.records.step_memory import (
    HOST,
    WITH_BUFFERS,
    StepMemory,
    implausible_peak,
    memory_of,
)
from bench.suite.parametrize import with_parameters
from bench.suite.scales import Scale
from bench.suite.suite import Suite
from bench.workloads.child import CASE_TIMEOUT_S
from bench.workloads.steps import BESIDE_OTHERS, RETURN_BLOCKS, STEP_METHODS, worked_through
from zo_core.model_names import model_label

_FULL_SET_PROCESSES = 3  # their median moves little
_FULL_SET_METHODS = ("inference", "zo")
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


@with_parameters("model", lambda scale: scale.frugal_models)
def test_frugal_memory(suite: Suite, model: str) -> None:
    """Measure the steps that need less memory at the paper's batch, in one process each."""
    methods = suite.scale.frugal_methods
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

    def of(method: str) -> tuple[Any, ...]:
        return (model, method, batch, images, suite.device_type)

    def tensors(*some: str) -> devices.IsolatedResult:
        return _run("measure_tensor_peaks", (model, list(some), batch, images, suite.device_type))

    with devices.IsolatedPool(processes_at_once()) as pool:
        begun = pool.submit(tensors, *methods)
        runs = {
            method: [pool.submit(_run, "measure_step_memory", of(method)) for _ in range(count)]
            for method, count in processes.items()
        }
        ended = {method: [run.result() for run in some] for method, some in runs.items()}
        together = begun.result()
    for method in methods:
        # where the process was killed, by a method that needs the most, each has one of its own
        counted = together if together.status == "ok" else tensors(method)
        step_of = (model, method, batch, images)
        _record(suite, step_of, _one_of(counted, method), ended.get(method, []))


def _one_of(together: devices.IsolatedResult, method: str) -> devices.IsolatedResult:
    """Take one method's result out of the process that measured several."""
    if together.status != "ok":
        return together
    found = together.value[method]
    if "error" in found:
        return replace(together, status="error", value=None, error=found["error"])
    return replace(together, value=found)


def _record(
    suite: Suite,
    step: tuple[str, str, int, int | None],
    tensors: devices.IsolatedResult,
    runs: Sequence[devices.IsolatedResult],
) -> None:
    model, method, batch, images = step
    failed = next((run for run in (*runs, tensors) if run.status != "ok"), None)
    measurements = [run.value for run in runs if run.status == "ok"]
    metrics = {} if failed else _metrics(measurements) | _tensor_metrics(tensors.value)
    implausible = implausible_peak(suite.device_type, metrics)
    if implausible is not None:
        metrics = {}
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
            "environment": RETURN_BLOCKS,
        },
        metrics=metrics,
        details=MemoryDetails(
            measurements=tuple(measurements), tensor_by_category=_categories(tensors)
        ),
        status=failed.status if failed else "error" if implausible else "ok",
        error=failed.error if failed else implausible,
        case_version=3,
        headline="" if not metrics else _headline(metrics, memory_of(suite.device_type, metrics)),
    )


def _run(function: str, arguments: Sequence[Any]) -> devices.IsolatedResult:
    return devices.run_isolated(
        f"bench.workloads.steps:{function}",
        *arguments,
        timeout_s=CASE_TIMEOUT_S,
        env=RETURN_BLOCKS | BESIDE_OTHERS,
    )


def processes_at_once() -> int:
    """Two where memory is plenty: a process's peak does not depend on its neighbour's."""
    return 2 if psutil.virtual_memory().available > _PLENTY_BYTES else 1


def _metrics(measurements: list[dict[str, Any]]) -> dict[str, Metric]:
    """Take the host's figures, and the device's where there is one, over the processes."""
    if not measurements:  # at tensor level alone
        return {}
    names = {
        "peak_above_baseline": "peak_above_baseline_bytes",
        "peak": "peak_bytes",
        "baseline": "baseline_bytes",
    }
    metrics = {name: _median(measurements, field) for name, field in names.items()}
    on_device = [m["device"] for m in measurements if "device" in m]
    for field in on_device[0] if on_device else ():
        if field != "is_integrated":
            metrics[f"device_{field.removesuffix('_bytes')}"] = _median(on_device, field)
    return metrics


def _median(measurements: Sequence[Mapping[str, Any]], field: str) -> Metric:
    first = measurements[0][field]
    for found in (m[field] for m in measurements):
        if found["value"] is None:
            return Metric(value=None, unit="byte", method=found["method"], reason=found["reason"])
    return median([m[field]["value"] for m in measurements], "byte", first["method"])


def _tensor_metrics(peak: dict[str, Any]) -> dict[str, Metric]:
    above = peak["peak_bytes"] - peak["baseline_bytes"]
    with_buffers = peak["with_buffers_bytes"] - peak["baseline_bytes"]
    return {
        "tensor_peak": single(peak["peak_bytes"], "byte", f"{_TENSORS}; weights and inputs too"),
        "tensor_peak_above_baseline": single(above, "byte", f"{_TENSORS}; made in the step"),
        WITH_BUFFERS: single(with_buffers, "byte", f"{_TENSORS}, and CPU kernels' buffers"),
    }


def _categories(tensors: devices.IsolatedResult) -> dict[str, int]:
    return dict(tensors.value["by_category"]) if tensors.status == "ok" else {}


def _headline(metrics: dict[str, Metric], memory: StepMemory) -> str:
    tensors = metrics["tensor_peak_above_baseline"].value or 0.0
    if memory.above not in metrics:
        return f"{tensors / MIB:7.1f} MiB of tensors made in the step"
    above, total = metrics[memory.above].value, metrics[memory.whole].value
    if above is None or total is None:
        return "no peak: see the record"
    return (
        f"{above / MIB:7.1f} MiB {'' if memory is HOST else f'of {memory.name} '}above the loaded"
        f" model (tensors {tensors / MIB:.1f}), {total / MIB:6.1f} MiB in all"
    )
