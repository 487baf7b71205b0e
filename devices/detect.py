"""Describe this machine, by its files under /proc and /sys first; nothing heavy is imported."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil

from devices.allocator import find_allocator, split_preloads
from devices.board import board_name
from devices.cuda_driver import driver_version
from devices.files import find, parse_sizes, read_number, read_text
from devices.kernel import memory_options, page_size_bytes
from devices.memory import huge_page_mode
from devices.spec import Accelerator, DeviceSpec
from devices.thermal import temperature_c, throttling

# The libraries whose versions change results or figures.
_LIBRARIES = (
    "numpy",
    "torch",
    "torchvision",
    "onnxruntime",
    "psutil",
    "scikit-learn",
    "nvidia-ml-py",
    "pytest-benchmark",
    "zeus",
    "zeus-ml",
    "flwr",
)

# Why a figure may be missing, by field; a record shows the reason beside each None.
_REASONS = {
    "soc": "no model name in device-tree or cpuinfo",
    "physical_cores": "the operating system does not tell physical cores",
    "memory_bandwidth_bytes_per_s": "not told by the system; it takes a benchmark",
    "accelerator": "no NVIDIA driver and no Tegra device tree found",
    "torch_wheel": "a catalogue field; versions tells what is installed here",
    "libc": "no C library version told (not glibc)",
    "governor": "no cpufreq in sysfs (a virtual machine, or not Linux)",
    "power_mode": "no platform profile and no nvpmodel status",
    "temperature_c": "no thermal zone in sysfs with a plausible reading",
    "huge_page_mode": "no transparent huge pages in sysfs",
    "memory_bytes": "the operating system does not report its memory",
    "swap_bytes": "no SwapTotal in /proc/meminfo (not Linux)",
    "page_size_bytes": "the operating system does not report it",
    "kernel_memory_options": "the kernel's command line cannot be read",
    "throttling": "no sensor of under-voltage or throttling in sysfs",
    "allocator": "the system does not tell which library serves malloc",
    "logical_cores": "the operating system does not report cores",
    "threads": "the operating system does not report cores",
    "emulator": "no emulator seen",
}


def detect(root: Path = Path("/")) -> DeviceSpec:
    """Describe the machine that this process runs on.

    Args:
        root: The folder that stands for the root of the file system.

    Returns:
        The device; every figure that is None has its reason in `notes`.
    """
    emulator = _emulator(root)
    meminfo = parse_sizes(read_text(root / "proc/meminfo") or "")
    allocator = find_allocator(root)
    spec = DeviceSpec(
        name=board_name(root) or platform.node() or "this machine",
        kind="host",
        soc=f"emulated by {emulator}" if emulator else _soc(root),  # cpuinfo is the host's there
        arch=platform.machine(),
        logical_cores=os.cpu_count(),
        physical_cores=_asked(lambda: psutil.cpu_count(logical=False)),
        memory_bytes=meminfo.get("MemTotal") or _asked(lambda: psutil.virtual_memory().total),
        accelerator=_accelerator(root),
        links_bits_per_s=links(root),
        os=_os_name(root),
        kernel=platform.release(),
        libc=" ".join(platform.libc_ver()).strip() or None,
        python=platform.python_version(),
        versions=environment(),
        governor=read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        power_mode=_power_mode(root),
        temperature_c=temperature_c(root),
        huge_page_mode=huge_page_mode(root),
        swap_bytes=meminfo.get("SwapTotal"),
        threads=_threads(),
        emulator=emulator,
        page_size_bytes=page_size_bytes(),
        kernel_memory_options=memory_options(root),
        throttling=throttling(root),
        allocator=allocator.library,
        preloads=allocator.preloads,
    )
    return replace(spec, notes=_notes(spec))


def environment() -> dict[str, str]:
    """Return the versions of the installed libraries that matter, importing none of them."""
    from importlib import metadata  # brings in the email package

    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def links(root: Path = Path("/")) -> dict[str, float | None]:
    """Return the rate of each network interface in bit/s, None where its driver does not tell.

    Args:
        root: The folder that stands for the root of the file system.
    """
    folders = find(root / "sys/class/net", "*/statistics")
    return {folder.parent.name: _rate(folder.parent) for folder in folders}


def _notes(spec: DeviceSpec) -> dict[str, str]:
    notes = {name: reason for name, reason in _REASONS.items() if getattr(spec, name) is None}
    untold = [name for name, rate in spec.links_bits_per_s.items() if rate is None]
    if untold:
        notes["links_bits_per_s"] = f"the driver tells no rate for {', '.join(untold)}"
    _, removed = split_preloads(spec.preloads)
    if removed:
        notes["preloads"] = f"measured processes start without {', '.join(removed)}"
    return notes


def _asked(ask: Callable[[], int | None]) -> int | None:
    """Ask psutil, which raises errors of many kinds on a system that it does not know."""
    try:
        return ask()
    except Exception:
        return None


def _soc(root: Path) -> str | None:
    rows = (read_text(root / "proc/cpuinfo") or "").splitlines()
    facts = {key.strip(): value.strip() for key, _, value in (row.partition(":") for row in rows)}
    # The device tree lists the board's chips from the special to the general, NUL-separated.
    compatible = (read_text(root / "proc/device-tree/compatible") or "").split("\0")[-1]
    named = facts.get("model name") or compatible or facts.get("Hardware")
    return named or platform.processor() or None


def _accelerator(root: Path) -> Accelerator | None:
    if "nvidia,tegra" in (read_text(root / "proc/device-tree/compatible") or ""):
        return Accelerator(name="Tegra integrated GPU", is_integrated=True)
    for path in find(root / "proc/driver/nvidia/gpus", "*/information"):
        rows = (row.partition(":") for row in (read_text(path) or "").splitlines())
        name = {key: value.strip() for key, _, value in rows}.get("Model")
        if name:
            return Accelerator(name=name, driver=driver_version(root))
    return None


def _rate(interface: Path) -> float | None:
    # The driver's "unknown" is -1, or an error on reading.
    megabits = read_number(interface / "speed") or 0
    return megabits * 1e6 if megabits > 0 else None


def _power_mode(root: Path) -> str | None:
    profile = read_text(root / "sys/firmware/acpi/platform_profile")
    return profile or read_text(root / "var/lib/nvpmodel/status")


def _emulator(root: Path) -> str | None:
    """Name the user-mode emulator: it poses as the program in self/exe, not in thread-self/exe."""
    try:
        running = (root / "proc/thread-self/exe").readlink().name
    except OSError:
        return None
    return running.removesuffix("-static") if running.startswith("qemu-") else None


def _os_name(root: Path) -> str:
    rows = (read_text(root / "etc/os-release") or "").splitlines()
    facts = dict(row.split("=", 1) for row in rows if "=" in row)
    return facts.get("PRETTY_NAME", "").strip('"') or platform.platform(terse=True)


def _threads() -> int | None:
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit():
        return int(asked)
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count()
