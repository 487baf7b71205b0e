"""Which GPU a machine has, by its files; on this machine also by NVML."""

from __future__ import annotations

from pathlib import Path

from devices.commands import HERE
from devices.files import find, read_text
from devices.nvml import GpuFacts, NotReportedError, open_gpu
from devices.spec import Accelerator

# Chips whose CPU and GPU share one memory; NVML knows no memory there (GB10: nvitop, pull 208;
# Thor: jetson_stats, pull 849; Orin: glances, pull 3580).
_UNIFIED = ("GB10", "Thor", "nvgpu")


def find_accelerator(root: Path = HERE) -> Accelerator | None:
    """Return the GPU, None where no NVIDIA GPU is found.

    Args:
        root: The folder that stands for the root of the file system; NVML is asked at "/" only.
    """
    if "nvidia,tegra" in (read_text(root / "proc/device-tree/compatible") or ""):
        return Accelerator(name="Tegra integrated GPU", is_integrated=True)
    for path in find(root / "proc/driver/nvidia/gpus", "*/information"):
        rows = (row.partition(":") for row in (read_text(path) or "").splitlines())
        name = {key: value.strip() for key, _, value in rows}.get("Model")
        if name:
            return _described(name, driver_version(root), _facts() if root == HERE else None)
    return None


def driver_version(root: Path = HERE) -> str | None:
    """Return the version of the NVIDIA kernel driver, None where there is none.

    Args:
        root: The folder that stands for the root of the file system.
    """
    words = (read_text(root / "proc/driver/nvidia/version") or "").split()
    return next((word for word in words if word[0].isdigit() and "." in word), None)


def _facts() -> GpuFacts | None:
    try:
        return open_gpu().facts()
    except NotReportedError:
        return None


def _described(name: str, driver: str | None, facts: GpuFacts | None) -> Accelerator:
    is_unified = any(chip in name for chip in _UNIFIED)
    if facts is None:
        return Accelerator(name=name, driver=driver, is_integrated=is_unified or None)
    return Accelerator(
        name=name,
        driver=driver or facts.driver,
        is_integrated=is_unified or None,
        memory_bytes=None if is_unified else facts.memory_bytes,
        power_limit_w=facts.power_limit_w,
        clock_mhz=facts.clock_mhz,
        max_clock_mhz=facts.max_clock_mhz,
        temperature_c=facts.temperature_c,
    )
