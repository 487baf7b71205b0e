"""Memory of a CUDA device over a region: by the allocator, by the driver, the context apart.

| figure | meaning | gate on it |
|---|---|---|
| allocated | peak of live tensors, as torch's allocator counts them | yes |
| reserved | peak of what the allocator holds; moves with its history | no |
| process | what the driver charges this process with at the region's end (NVML) | no |
| context | process minus reserved at the region's start: kernels, libraries, CUDA itself | no |

The baseline is the same whatever ran before: libraries' workspaces and the allocator's cache are
freed first, and a region that needs them again counts them.

On unified memory (Jetson, GB10: `is_integrated`) NVML answers "not supported" or a carve-out, and
`mem_get_info` counts the page cache as used, so that neither is asked for what is in use: the
allocator's figures and the fall of MemAvailable are what there is. `measure_device` imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from devices.cuda_driver import Driver, TorchDriver
from devices.nvml import NotReportedError
from devices.reading import Reading, missing, to_plain

_RUNNING = "the region has not ended"
_UNIFIED = "unified memory: the driver keeps no account of its own (NVML is not asked)"


@dataclass(slots=True, kw_only=True)
class DeviceMemory:
    """Hold the device memory of a region; until it ends every figure is None.

    Not frozen, since the region's end fills it in; treat it as read-only.

    Args:
        baseline_bytes: Live tensors at the region's start, after the caches are emptied.
        allocated_bytes: Peak of live tensors.
        allocated_above_baseline_bytes: Their difference.
        reserved_bytes: Peak of what the allocator held.
        process_bytes: The driver's account of this process at the end.
        context_bytes: The part of it outside the allocator at the start.
        available_fall_bytes: By how much MemAvailable fell; unified memory only, and of the
            whole machine, so that other processes disturb it.
        total_bytes: The device's memory; unified memory is the machine's.
        is_integrated: Whether memory is unified.
    """

    baseline_bytes: Reading
    allocated_bytes: Reading
    allocated_above_baseline_bytes: Reading
    reserved_bytes: Reading
    process_bytes: Reading
    context_bytes: Reading
    available_fall_bytes: Reading
    total_bytes: Reading
    is_integrated: bool

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON data."""
        return to_plain(self)


@contextmanager
def measure_device(index: int = 0, *, driver: Driver | None = None) -> Iterator[DeviceMemory]:
    """Measure the device memory of the region.

    Run one unmeasured step before it, so that libraries are initialised.

    Args:
        index: The CUDA device, as torch numbers it.
        driver: What is asked; by default torch and NVML.

    Yields:
        The figures, filled in when the region ends, by an exception too.

    Raises:
        RuntimeError: There is no CUDA device.
    """
    asked = TorchDriver(index) if driver is None else driver
    asked.empty_caches()
    region = _begin(asked)
    available_before = asked.available_bytes()
    asked.reset_peaks()
    baseline, _ = asked.allocated_bytes()
    region.baseline_bytes = _allocator(baseline, "memory_allocated")
    try:
        yield region
    finally:
        _, allocated = asked.allocated_bytes()
        _, reserved = asked.reserved_bytes()
        region.allocated_bytes = _allocator(allocated, "max_memory_allocated")
        region.allocated_above_baseline_bytes = _allocator(
            allocated - baseline, "max_memory_allocated - memory_allocated"
        )
        region.reserved_bytes = _allocator(reserved, "max_memory_reserved")
        region.process_bytes = _process(asked)
        if region.is_integrated:
            region.available_fall_bytes = Reading(
                value=available_before - asked.available_bytes(),
                unit="byte",
                method="MemAvailable, start minus end",
            )


def _begin(driver: Driver) -> DeviceMemory:
    running = missing("byte", _RUNNING)
    own_memory = missing("byte", "the device has memory of its own")
    is_integrated = driver.is_integrated()
    return DeviceMemory(
        baseline_bytes=running,
        allocated_bytes=running,
        allocated_above_baseline_bytes=running,
        reserved_bytes=running,
        process_bytes=running,
        context_bytes=_context(driver),
        available_fall_bytes=running if is_integrated else own_memory,
        total_bytes=Reading(value=driver.total_bytes(), unit="byte", method="mem_get_info"),
        is_integrated=is_integrated,
    )


def _allocator(value: int, name: str) -> Reading:
    return Reading(value=value, unit="byte", method=f"torch.cuda {name}")


def _process(driver: Driver) -> Reading:
    if driver.is_integrated():
        return missing("byte", _UNIFIED)
    try:
        return Reading(value=driver.process_bytes(), unit="byte", method="NVML, this process")
    except NotReportedError as reason:
        return missing("byte", str(reason), method="NVML, this process")


def _context(driver: Driver) -> Reading:
    process = _process(driver)
    if process.value is None:
        return process
    reserved, _ = driver.reserved_bytes()
    method = "NVML, this process, minus memory_reserved"
    return Reading(value=process.value - reserved, unit="byte", method=method)
