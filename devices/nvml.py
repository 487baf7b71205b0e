"""Ask NVIDIA's management library (NVML, by the package nvidia-ml-py) about one GPU.

Integrated GPUs answer little: on Jetson Orin only the name, on GB10 no memory. What NVML does not
report is an error with the reason, and None in the facts.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NOT_INSTALLED = "nvidia-ml-py is not installed (extra: bench)"


class NotReportedError(Exception):
    """The driver does not report a figure; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuFacts:
    """Describe a GPU and what slows it down; None where NVML does not report it.

    Args:
        name: E.g. "NVIDIA H100 80GB HBM3".
        driver: Driver version.
        memory_bytes: Its own memory.
        power_limit_w: The enforced limit.
        clock_mhz: The streaming multiprocessors' clock now.
        max_clock_mhz: Their highest clock.
        temperature_c: The chip's temperature now.
    """

    name: str | None
    driver: str | None
    memory_bytes: int | None
    power_limit_w: float | None
    clock_mhz: int | None
    max_clock_mhz: int | None
    temperature_c: int | None


class NvmlGpu:
    """One GPU as NVML sees it."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        """Use a loaded `pynvml` and one of its device handles; see `open_gpu`."""
        self._nvml, self._handle = nvml, handle

    def energy_j(self) -> float:
        """Return the joules used since the driver was loaded.

        Raises:
            NotReportedError: The GPU has no such counter (before Volta, and integrated ones).
        """
        return float(self._ask("nvmlDeviceGetTotalEnergyConsumption")) / 1e3

    def process_bytes(self) -> int:
        """Return the memory that NVML charges this process with.

        Raises:
            NotReportedError: NVML does not list this process, or without a figure.
        """
        processes = self._ask("nvmlDeviceGetComputeRunningProcesses")
        return own_process_bytes({each.pid: each.usedGpuMemory for each in processes})

    def facts(self) -> GpuFacts:
        """Return what NVML reports of the GPU."""
        nvml = self._nvml
        memory = self._try("nvmlDeviceGetMemoryInfo")
        milliwatts = self._try("nvmlDeviceGetEnforcedPowerLimit")
        return GpuFacts(
            name=_text(self._try("nvmlDeviceGetName")),
            driver=_text(_asked(nvml, nvml.nvmlSystemGetDriverVersion)),
            memory_bytes=getattr(memory, "total", None) or None,  # some drivers answer 0
            power_limit_w=None if milliwatts is None else milliwatts / 1e3,
            clock_mhz=self._try("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
            max_clock_mhz=self._try("nvmlDeviceGetMaxClockInfo", nvml.NVML_CLOCK_SM),
            temperature_c=self._try("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
        )

    def _try(self, name: str, *arguments: Any) -> Any:
        with contextlib.suppress(NotReportedError):
            return self._ask(name, *arguments)
        return None

    def _ask(self, name: str, *arguments: Any) -> Any:
        try:
            return getattr(self._nvml, name)(self._handle, *arguments)
        except self._nvml.NVMLError as error:
            raise NotReportedError(f"NVML: {error}") from None


def open_gpu(uuid: str | None = None) -> NvmlGpu:
    """Load NVML and find a GPU; imports pynvml.

    Args:
        uuid: "GPU-..." as torch names it; None for the first GPU.

    Raises:
        NotReportedError: nvidia-ml-py is not installed, or there is no driver or no such GPU.
    """
    try:
        import pynvml
    except ModuleNotFoundError:
        raise NotReportedError(_NOT_INSTALLED) from None
    try:
        pynvml.nvmlInit()
        if uuid is None:
            return NvmlGpu(pynvml, pynvml.nvmlDeviceGetHandleByIndex(0))
        return NvmlGpu(pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid))
    except pynvml.NVMLError as error:
        raise NotReportedError(f"NVML: {error}") from None


def own_process_bytes(used_by_pid: Mapping[int, int | None]) -> int:
    """Return this process's share of NVML's list.

    Raises:
        NotReportedError: It is not in the list, or without a figure.
    """
    pid = os.getpid()
    if pid not in used_by_pid:
        raise NotReportedError(
            f"NVML lists {len(used_by_pid)} processes and not this one: in a container it reports "
            "the host's process numbers"
        )
    used = used_by_pid[pid]
    if used is None:
        raise NotReportedError("NVML lists this process without a figure")
    return used


def _asked(nvml: Any, ask: Any) -> Any:
    try:
        return ask()
    except nvml.NVMLError:
        return None


def _text(value: Any) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
