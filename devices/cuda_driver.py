"""What is asked of torch and the NVIDIA driver about one device; tests put a fake in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import psutil

from devices.files import read_text
from devices.nvml import open_gpu
from devices.spec import Accelerator


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
        return open_gpu(f"GPU-{self._properties.uuid}").process_bytes()

    def available_bytes(self) -> int:
        """Return MemAvailable."""
        return int(psutil.virtual_memory().available)


def driver_version(root: Path) -> str | None:
    """Return the version of the NVIDIA kernel driver, None where there is none.

    Args:
        root: The folder that stands for the root of the file system.
    """
    words = (read_text(root / "proc/driver/nvidia/version") or "").split()
    return next((word for word in words if word[0].isdigit() and "." in word), None)
