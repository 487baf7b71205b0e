"""What is asked of torch and the NVIDIA driver about one device; tests put a fake in its place."""

from __future__ import annotations

from typing import Protocol

import psutil

from devices.nvml import open_gpu


class Driver(Protocol):
    """What is asked of torch and the NVIDIA driver; tests put a fake in its place."""

    def is_integrated(self) -> bool:
        """Return whether CPU and GPU share one memory."""

    def empty_caches(self) -> None:
        """Wait for the device, then free what libraries and the allocator keep for later."""

    def reset_peaks(self) -> None:
        """Reset the allocator's peaks."""

    def total_bytes(self) -> int:
        """Return the device's memory."""

    def allocated_bytes(self) -> tuple[int, int]:
        """Return the allocator's live bytes, now and at their peak."""

    def reserved_bytes(self) -> tuple[int, int]:
        """Return the allocator's reserved bytes, now and at their peak."""

    def process_bytes(self) -> int:
        """Return this process's device memory; NotReportedError where there is no figure."""

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

    def empty_caches(self) -> None:
        """Synchronise, then free the workspaces of cuBLAS and what the allocator reserves.

        Each thread that multiplies matrices leaves a workspace of its own among the live tensors,
        autograd's thread too: without this a baseline would depend on the step before it.
        """
        import torch

        self._cuda.synchronize(self._index)
        torch._C._cuda_clearCublasWorkspaces()
        self._cuda.empty_cache()

    def reset_peaks(self) -> None:
        """Reset the peaks to the present."""
        self._cuda.reset_peak_memory_stats(self._index)

    def total_bytes(self) -> int:
        """Return the total of mem_get_info."""
        return self._cuda.mem_get_info(self._index)[1]

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
