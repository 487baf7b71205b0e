"""Memory of a CUDA device over a region: by the allocator, by the driver, the context apart.

| figure | meaning | gate on it |
|---|---|---|
| allocated | peak of live tensors, as torch's allocator counts them | yes |
| reserved | peak of what the allocator holds; moves with its history | no |
| process | what the driver charges this process with at the region's end (NVML) | no |
| context | process minus reserved at the region's start: kernels, libraries, CUDA itself | no |

On unified memory (Jetson, GB10: `is_integrated`) NVML answers "not supported" or a carve-out, and
`mem_get_info` counts the page cache as used, so neither is asked: the allocator's figures and
the fall of MemAvailable are what there is. Functions here import torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil

from devices.reading import Reading, missing, to_plain
from devices.spec import Accelerator

_RUNNING = "the region has not ended"
_UNIFIED = "unified memory: the driver keeps no account of its own (NVML is not asked)"


class NotToldError(Exception):
    """The driver does not tell a figure; the message says why."""


class Driver(Protocol):
    """What is asked of torch and the NVIDIA driver; tests put a fake in its place."""

    def is_integrated(self) -> bool:
        """Tell whether CPU and GPU share one memory."""

    def describe(self) -> Accelerator:
        """Describe the device."""

    def reset_peaks(self) -> None:
        """Wait for the device and reset the allocator's peaks."""

    def allocated_bytes(self) -> tuple[int, int]:
        """Return the allocator's live bytes, now and at their peak."""

    def reserved_bytes(self) -> tuple[int, int]:
        """Return the allocator's reserved bytes, now and at their peak."""

    def process_bytes(self) -> int:
        """Return this process's device memory; NotToldError where the driver does not tell."""

    def available_bytes(self) -> int:
        """Return the host's MemAvailable."""


@dataclass(slots=True, kw_only=True)
class DeviceMemory:
    """Hold the device memory of a region; until it ends every figure is None.

    Not frozen, since the region's end fills it in; treat it as read-only.

    Args:
        baseline_bytes: Live tensors at the region's start.
        allocated_bytes: Peak of live tensors.
        allocated_above_baseline_bytes: Their difference.
        reserved_bytes: Peak of what the allocator held.
        process_bytes: The driver's account of this process at the end.
        context_bytes: What of it was there beside the allocator at the start.
        available_fall_bytes: By how much MemAvailable fell; unified memory only, and of the
            whole machine, so that other processes disturb it.
        is_integrated: Whether memory is unified.
    """

    baseline_bytes: Reading
    allocated_bytes: Reading
    allocated_above_baseline_bytes: Reading
    reserved_bytes: Reading
    process_bytes: Reading
    context_bytes: Reading
    available_fall_bytes: Reading
    is_integrated: bool

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON data."""
        return to_plain(self)


@contextmanager
def measure_device(index: int = 0, *, driver: Driver | None = None) -> Iterator[DeviceMemory]:
    """Measure the device memory of the region.

    Args:
        index: The CUDA device, as torch numbers it.
        driver: What is asked; by default torch and NVML.

    Yields:
        The figures, filled in when the region ends, by an exception too.

    Raises:
        RuntimeError: There is no CUDA device.
    """
    asked = TorchDriver(index) if driver is None else driver
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
        is_integrated=is_integrated,
    )


def _allocator(value: int, name: str) -> Reading:
    return Reading(value=value, unit="byte", method=f"torch.cuda {name}")


def _process(driver: Driver) -> Reading:
    if driver.is_integrated():
        return missing("byte", _UNIFIED)
    try:
        return Reading(value=driver.process_bytes(), unit="byte", method="NVML, this process")
    except NotToldError as reason:
        return missing("byte", str(reason), method="NVML, this process")


def _context(driver: Driver) -> Reading:
    process = _process(driver)
    if process.value is None:
        return process
    reserved, _ = driver.reserved_bytes()
    method = "NVML, this process, minus memory_reserved"
    return Reading(value=process.value - reserved, unit="byte", method=method)


class TorchDriver:
    """Ask torch.cuda and NVML about one device."""

    def __init__(self, index: int) -> None:
        """Import torch and set the device up, so that its context exists.

        Raises:
            RuntimeError: There is no such CUDA device.
        """
        import torch

        if index >= torch.cuda.device_count():
            raise RuntimeError(
                f"index must be below the number of CUDA devices, {torch.cuda.device_count()}, "
                f"got {index}; measure on the CPU instead"
            )
        torch.cuda.current_device()  # sets the context up
        self._cuda, self._index = torch.cuda, index
        self._properties = torch.cuda.get_device_properties(index)

    def is_integrated(self) -> bool:
        """Return the device property."""
        return bool(self._properties.is_integrated)

    def describe(self) -> Accelerator:
        """Return name, memory and driver version."""
        import torch

        is_integrated = self.is_integrated()
        return Accelerator(
            name=self._properties.name,
            memory_bytes=None if is_integrated else self._properties.total_memory,
            is_integrated=is_integrated,
            driver=driver_version(Path("/")) or f"CUDA {torch.version.cuda}",
        )

    def reset_peaks(self) -> None:
        """Synchronise, then reset the peaks to the present."""
        self._cuda.synchronize(self._index)
        self._cuda.reset_peak_memory_stats(self._index)

    def allocated_bytes(self) -> tuple[int, int]:
        """Return memory_allocated and its peak."""
        cuda, index = self._cuda, self._index
        return cuda.memory_allocated(index), cuda.max_memory_allocated(index)

    def reserved_bytes(self) -> tuple[int, int]:
        """Return memory_reserved and its peak."""
        cuda, index = self._cuda, self._index
        return cuda.memory_reserved(index), cuda.max_memory_reserved(index)

    def process_bytes(self) -> int:
        """Return what NVML charges this process with."""
        try:
            import pynvml
        except ModuleNotFoundError:
            raise NotToldError("nvidia-ml-py is not installed (extra: bench)") from None
        try:
            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{self._properties.uuid}")
            processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        except pynvml.NVMLError as error:
            raise NotToldError(f"NVML: {error}") from None
        return own_process_bytes({each.pid: each.usedGpuMemory for each in processes})

    def available_bytes(self) -> int:
        """Return MemAvailable."""
        return int(psutil.virtual_memory().available)


def own_process_bytes(used_by_pid: dict[int, int | None]) -> int:
    """Return this process's share of NVML's list.

    Raises:
        NotToldError: It is not in the list, or without a figure.
    """
    pid = os.getpid()
    if pid not in used_by_pid:
        raise NotToldError(
            f"NVML lists {len(used_by_pid)} processes and not this one: in a container it tells "
            "the host's process numbers"
        )
    used = used_by_pid[pid]
    if used is None:
        raise NotToldError("NVML lists this process without a figure")
    return used


def driver_version(root: Path) -> str | None:
    """Return the version of the NVIDIA kernel driver, None where there is none.

    Args:
        root: The folder that stands for the root of the file system.
    """
    try:
        words = (root / "proc/driver/nvidia/version").read_text().split()
    except OSError:
        return None
    return next((word for word in words if word[0].isdigit() and "." in word), None)
