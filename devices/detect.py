"""Describe a machine by its files under /proc and /sys first; nothing heavy is imported.

This machine, or a copy of another one's files: a tree with the same paths, and outputs of commands
under `commands/` (`devices.commands`). What a tree lacks is None with a reason, as it is here.
"""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

from devices.accelerator import find_accelerator
from devices.allocator import find_allocator, preloads_for_all, split_preloads
from devices.board import board_name
from devices.commands import HERE
from devices.files import find, parse_sizes, read_number, read_text
from devices.host import read_host
from devices.jetson import are_clocks_locked, clocks_hz, jetpack_of, l4t_version
from devices.kernel import clock_source, memory_options, page_size_bytes
from devices.memory import huge_page_mode
from devices.power import power_mode
from devices.reasons import REASONS, TREE_REASONS
from devices.spec import DeviceSpec
from devices.thermal import temperature_c, throttling


def detect(root: Path = HERE) -> DeviceSpec:
    """Describe the machine that this process runs on, or the one that a tree was copied from.

    Args:
        root: "/" for this machine; any other folder is a copied tree.

    Returns:
        The device; every figure that is None has its reason in `notes`.
    """
    spec = _of_files(root, emulator=_emulator(root))
    if root == HERE:
        allocator = find_allocator()
        spec = replace(spec, allocator=allocator.library, preloads=allocator.preloads)
    else:
        spec = replace(spec, preloads=preloads_for_all(root))
    return replace(spec, notes=_notes(spec, is_here=root == HERE))


def _of_files(root: Path, emulator: str | None) -> DeviceSpec:
    meminfo = parse_sizes(read_text(root / "proc/meminfo") or "")
    host, l4t = read_host(root), l4t_version(root)
    return DeviceSpec(
        name=board_name(root) or (platform.node() if root == HERE else "") or "unnamed machine",
        kind="host",
        soc=f"emulated by {emulator}" if emulator else _soc(root),  # cpuinfo is the host's there
        arch=host.arch,
        logical_cores=host.logical_cores,
        physical_cores=host.physical_cores,
        memory_bytes=meminfo.get("MemTotal") or host.memory_bytes,
        accelerator=find_accelerator(root),
        links_bits_per_s=links(root),
        os=_os_name(root),
        kernel=host.kernel,
        libc=host.libc,
        python=host.python,
        versions=host.versions,
        governor=read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        power_mode=power_mode(root),
        temperature_c=temperature_c(root),
        huge_page_mode=huge_page_mode(root),
        swap_bytes=meminfo.get("SwapTotal"),
        threads=host.threads,
        emulator=emulator,
        page_size_bytes=page_size_bytes(root),
        kernel_memory_options=memory_options(root),
        clock_source=clock_source(root),
        l4t=l4t,
        jetpack=jetpack_of(l4t),
        clocks_hz=clocks_hz(root),
        clocks_locked=are_clocks_locked(root),
        throttling=throttling(root),
    )


def links(root: Path = HERE) -> dict[str, float | None]:
    """Return the rate of each network interface in bit/s, None where its driver does not report it.

    Args:
        root: The folder that stands for the root of the file system.
    """
    folders = find(root / "sys/class/net", "*/statistics")
    return {folder.parent.name: _rate(folder.parent) for folder in folders}


def _notes(spec: DeviceSpec, *, is_here: bool) -> dict[str, str]:
    reasons = REASONS if is_here else TREE_REASONS
    notes = {name: reason for name, reason in reasons.items() if getattr(spec, name) is None}
    untold = [name for name, rate in spec.links_bits_per_s.items() if rate is None]
    if untold:
        notes["links_bits_per_s"] = f"the driver does not report a rate for {', '.join(untold)}"
    _, removed = split_preloads(spec.preloads)
    if removed:
        notes["preloads"] = f"measured processes start without {', '.join(removed)}"
    return notes


def _soc(root: Path) -> str | None:
    rows = (read_text(root / "proc/cpuinfo") or "").splitlines()
    facts = {key.strip(): value.strip() for key, _, value in (row.partition(":") for row in rows)}
    # The device tree lists the board's chips from the special to the general, NUL-separated.
    chips = (read_text(root / "proc/device-tree/compatible") or "").split("\0")
    compatible = next((chip for chip in reversed(chips) if not chip.endswith("-platform")), "")
    named = facts.get("model name") or compatible or facts.get("Hardware")
    return named or (platform.processor() if root == HERE else None) or None


def _rate(interface: Path) -> float | None:
    # The driver's "unknown" is -1, or an error on reading.
    megabits = read_number(interface / "speed") or 0
    return megabits * 1e6 if megabits > 0 else None


def _emulator(root: Path) -> str | None:
    """Name the user-mode emulator: it poses as the program in self/exe, not in thread-self/exe."""
    try:
        running = (root / "proc/thread-self/exe").readlink().name
    except OSError:
        return None
    return running.removesuffix("-static") if running.startswith("qemu-") else None


def _os_name(root: Path) -> str | None:
    rows = (read_text(root / "etc/os-release") or "").splitlines()
    facts = dict(row.split("=", 1) for row in rows if "=" in row)
    named = facts.get("PRETTY_NAME", "").strip('"')
    return named or (platform.platform(terse=True) if root == HERE else None)
