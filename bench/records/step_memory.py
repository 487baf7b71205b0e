"""Which metrics of the memory cases tell what a step takes: the host's, or on CUDA the device's.

A step on a GPU takes the GPU's memory; what its process holds of the host's is libraries, and says
nothing of the step.  Whatever is said, tabulated or drawn of a step's memory asks here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.records.record import Metric
from bench.records.record_index import Results

METER_ERROR_BYTES = 2 << 20  # the kernel counts resident pages by thread, and adds them up late


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMemory:
    """A kind of memory: its metrics, bytes, and the words for them."""

    name: str  # in the middle of a sentence
    column: str  # at the head of a column
    above: str  # metric: the peak, less what was there before the step
    whole: str  # metric: all that the process takes
    whole_name: str  # at the beginning of a caption
    whole_short: str  # in the middle of a sentence
    resolution_bytes: int  # of the meter of `above`


HOST = StepMemory(
    name="memory",
    column="Process",
    above="peak_above_baseline",
    whole="peak",
    whole_name="Peak of the whole process, libraries and weights included",
    whole_short="peak of the whole process",
    resolution_bytes=METER_ERROR_BYTES,
)
DEVICE = StepMemory(
    name="allocated device memory",
    column="Device, allocated",
    above="device_allocated_above_baseline",
    whole="device_process",
    whole_name="Device memory of the whole process, CUDA context and weights included",
    whole_short="device memory of the whole process",
    resolution_bytes=0,  # the allocator counts bytes
)
# For a driver that tells nothing of processes, as in a container or on unified memory.
ALLOCATOR = replace(
    DEVICE,
    whole="device_reserved",
    whole_name="Peak device memory that torch’s allocator held, CUDA context not counted",
    whole_short="device memory that torch’s allocator held",
)

_TENSORS = "tensor_peak_above_baseline"
WITH_BUFFERS = "tensor_and_buffer_peak_above_baseline"
# The committed records of steps above 10 MiB agree within 0.5 %.
_LEAST_SHARE = 0.95
# By how much a process may need more than its tensors and its kernels' buffers.
_MOST_SHARE, _SMALL_BYTES = 1.05, 8 << 20


def memory_of(device: str, metrics: Mapping[str, Metric]) -> StepMemory:
    """Return the kind of memory that one record's step is judged by.

    Args:
        device: "cpu" or "cuda", where the step ran.
        metrics: of the record; none of a failed one.
    """
    if device != "cuda":
        return HOST
    process = metrics.get(DEVICE.whole)
    return ALLOCATOR if process is not None and process.value is None else DEVICE


def implausible_peak(device: str, metrics: Mapping[str, Metric]) -> str | None:
    """Return what is wrong with a step's peak: it is negative, or below the tensors of the step.

    Args:
        device: "cpu" or "cuda", where the step ran.
        metrics: of the record; one that lacks a figure is not judged by it.
    """
    name = memory_of(device, metrics).above
    peak, tensors = metrics.get(name), metrics.get(_TENSORS)
    if peak is None or peak.value is None:
        return None
    lowest = min(peak.samples)
    if lowest < 0:
        return f"{name} must be >= 0, got {lowest:g} bytes: the baseline was no baseline"
    if tensors is None or tensors.value is None:
        return None
    if lowest >= _LEAST_SHARE * tensors.value - METER_ERROR_BYTES:
        return None
    return (
        f"{name} must be at least {_TENSORS}, {tensors.value:g} bytes, got {lowest:g}: the process "
        "reused memory that it held before the step"
    )


def unexplained_peak(device: str, metrics: Mapping[str, Metric]) -> str | None:
    """Return what is not explained of a CPU step's peak: it exceeds tensors and kernels' buffers.

    Args:
        device: "cpu" or "cuda", where the step ran.
        metrics: of the record; one that lacks a figure is not judged by it.
    """
    above, counted = (_value(metrics, name) for name in (HOST.above, WITH_BUFFERS))
    if device != "cpu" or above is None or counted is None:
        return None
    if above <= _MOST_SHARE * counted + _SMALL_BYTES:
        return None
    return (
        f"{HOST.above} is {above:g} bytes, tensors and kernels' buffers are {counted:g}: "
        "the rest is neither (a library's own memory, or the C heap's overhead)"
    )


def step_memory(results: Results) -> StepMemory:
    """Return the one kind of memory that a folder's steps are compared by.

    Where only some of its steps ran on a GPU, those of the CPU have no figure of that kind: they
    show as not measured, and are never set against the others.
    """
    kinds = [memory_of(r.config.get("device", "cpu"), r.metrics) for r in results.group("memory")]
    return next((kind for kind in (ALLOCATOR, DEVICE) if kind in kinds), HOST)


def _value(metrics: Mapping[str, Metric], name: str) -> float | None:
    return metrics[name].value if name in metrics else None
