"""The doctor's checks of what moves a time or an energy; each knows what to do about it."""

from __future__ import annotations

from pathlib import Path

from devices.board import board_name
from devices.files import find, read_number, read_text
from devices.finding import Finding
from devices.jetson import are_clocks_locked, gpu_load, l4t_version
from devices.kernel import clock_source
from devices.power import JetsonMode, battery_state, fastest_jetson_mode, power_mode
from devices.thermal import temperature_c, throttling

_HOT_C = 75.0
_SLOW_CLOCKS = ("hpet", "acpi_pm", "jiffies", "refined-jiffies")
_BUSY_GPU, _BUSY_CPU = 0.05, 0.5


def governor(root: Path) -> Finding | None:
    """Look whether the processor's clock follows the load."""
    name = read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return (
        None
        if name is None
        else Finding.of(
            "CPU governor",
            name,
            None if name == "performance" else "advice",
            "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        )
    )


def slowed_down(root: Path) -> Finding | None:
    """Look for under-voltage and throttling, now or since the boot."""
    reports = throttling(root)
    if reports is None:
        return None
    weak = any("voltage" in report for report in reports)
    return Finding.of(
        "throttling",
        ", ".join(reports) or "none reported",
        "advice" if reports else None,
        ("use the maker's power supply and a short cable" if weak else "cool the board")
        + ", reboot, and check again",
    )


def heat(root: Path) -> Finding | None:
    """Look at the temperature before the work."""
    celsius = temperature_c(root)
    return (
        None
        if celsius is None
        else Finding.of(
            "temperature",
            f"{celsius:.0f} degrees Celsius",
            "advice" if celsius > _HOT_C else None,
            "let it cool, or add a fan: it will throttle in a run",
        )
    )


def mode(root: Path) -> Finding | None:
    """Look at the power mode of a Jetson or a laptop."""
    name = power_mode(root)
    if name is None:
        return None
    is_jetson = l4t_version(root) is not None or "pmode" in name or "W" in name
    fastest = fastest_jetson_mode(root)
    is_full = "MAXN" in name or name in ("performance", "balanced") or "pmode:0000" in name
    if is_jetson and fastest is not None:
        is_full = fastest.name == name.partition(" ")[0] or f"pmode:{fastest.number:04}" in name
    return Finding.of(
        "power mode",
        name,
        None if is_full else "advice",
        _jetson_remedy(fastest)
        if is_jetson
        else "echo performance | sudo tee /sys/firmware/acpi/platform_profile",
    )


def _jetson_remedy(fastest: JetsonMode | None) -> str:
    if fastest is None:
        return (
            "sudo nvpmodel -m with the number of MAXN (`grep POWER_MODEL /etc/nvpmodel.conf` lists"
            " the modes), and a reboot if it asks for one"
        )
    return f"sudo nvpmodel -m {fastest.number} ({fastest.name}), and a reboot if it asks for one"


def jetson_clocks(root: Path) -> Finding | None:
    """Look whether a Jetson's GPU clock follows the load."""
    locked = are_clocks_locked(root)
    return (
        None
        if locked is None
        else Finding.of(
            "GPU clock",
            "locked" if locked else "follows the load",
            None if locked else "advice",
            "sudo jetson_clocks",
        )
    )


def busy_gpu(root: Path) -> Finding | None:
    """Look for other work on a Jetson's GPU."""
    load = gpu_load(root)
    return (
        None
        if load is None
        else Finding.of(
            "GPU load",
            f"{load:.0%}",
            "advice" if load > _BUSY_GPU else None,
            "end other work on the GPU (the desktop too: sudo systemctl isolate multi-user.target)",
        )
    )


def busy_cpu(root: Path) -> Finding | None:
    """Look for other work on the processor."""
    words = (read_text(root / "proc/loadavg") or "").split()
    try:
        load = float(words[0])
    except (IndexError, ValueError):
        return None
    bad = "advice" if load > _BUSY_CPU else None
    return Finding.of("CPU load", f"{load:g} in the last minute", bad, "end other work")


def timer(root: Path) -> Finding | None:
    """Look for a clock that takes a microsecond to read."""
    name = clock_source(root)
    return (
        None
        if name is None
        else Finding.of(
            "clock source",
            name,
            "advice" if name in _SLOW_CLOCKS else None,
            "boot without clocksource=; if the kernel gave the tsc up, `dmesg | grep clocksource`"
            " says why",
        )
    )


def battery(root: Path) -> Finding | None:
    """Look whether a laptop runs from its battery."""
    state = battery_state(root)
    return (
        None
        if state is None
        else Finding.of(
            "battery", state, "advice" if state == "Discharging" else None, "plug the charger in"
        )
    )


def energy_counters(root: Path) -> Finding | None:
    """Look whether RAPL's counters may be read."""
    zones = find(root / "sys/class/powercap", "intel-rapl:*")
    if not zones:
        return None
    readable = any(read_number(zone / "energy_uj") is not None for zone in zones)
    return Finding.of(
        "RAPL energy counters",
        "readable" if readable else "not readable",
        None if readable else "advice",
        "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj",
    )


def identity(root: Path) -> Finding | None:
    """Name the board, so that a report shows what was checked."""
    name = board_name(root)
    return None if name is None else Finding.of("board", name, None, "")


def old_arm_core(root: Path) -> Finding | None:
    """Look for a 64-bit ARM core without atomic instructions, such as a Raspberry Pi 4's.

    torch 2.4.0 and 2.10.0 stop there with "Illegal instruction" (pytorch/pytorch, issues 132032 and
    176993).
    """
    cpuinfo = read_text(root / "proc/cpuinfo") or ""
    rows = (row.partition(":") for row in cpuinfo.splitlines())
    features = {
        word for key, _, value in rows if key.strip() == "Features" for word in value.split()
    }
    if "asimd" not in features:
        return None
    has_atomics = "atomics" in features
    return Finding.of(
        "ARM core",
        "has atomic instructions" if has_atomics else "ARMv8.0, without atomic instructions",
        None if has_atomics else "advice",
        "torch 2.4.0 and 2.10.0 stop with 'Illegal instruction': pip install 'torch<2.10' (2.9.1"
        " runs), or use the client without torch",
    )


SPEED_CHECKS = (
    *(identity, governor, mode, jetson_clocks, busy_gpu, busy_cpu, slowed_down, heat, battery),
    *(timer, energy_counters, old_arm_core),
)
