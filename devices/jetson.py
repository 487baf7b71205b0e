"""What a Jetson's files report: its Linux for Tegra (L4T), its JetPack, its clocks and GPU load.

| file | what it shows | source |
|---|---|---|
| etc/nv_tegra_release | "# R36 (release), REVISION: 4.3, ..." | jetson_stats, issue 711 |
| devfreq folders of the GPU | current, least and largest clock | jetson_stats, jtop/core/gpu.py |
| gpu.0/load | load in thousandths | glances, pull 3580 |
| bpmp/debug/clk/emc (root only) | clock of the memory | jetson_stats, jtop/tests/conftest.py |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from devices.files import find, read_number, read_text

_RELEASE = re.compile(r"# R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)")
# From jetson_stats (jtop/core/jetson_variables.py), by L4T's first two or three numbers.
_JETPACKS = {
    "39.2": "7.2",
    "38.4": "7.1",
    "38.2": "7.0",
    "36.5": "6.2.2",
    "36.4.7": "6.2.1",
    "36.4.4": "6.2.1",
    "36.4.3": "6.2",
    "36.4": "6.1",
    "36.3": "6.0",
    "35": "5",
    "32": "4",
}
_GPU_NAMES = re.compile(r"gpu|g[vabp]\d+b", re.IGNORECASE)
_EMC = "sys/kernel/debug/bpmp/debug/clk/emc"
_LOADS = ("sys/devices/platform/gpu.0/load", "sys/devices/gpu.0/load")


def l4t_version(root: Path = Path("/")) -> str | None:
    """Return the version of Linux for Tegra, e.g. "36.4.3", None where there is none.

    Args:
        root: The folder that stands for the root of the file system.
    """
    found = _RELEASE.search(read_text(root / "etc/nv_tegra_release") or "")
    return f"{found[1]}.{found[2]}" if found else None


def jetpack_of(l4t: str | None) -> str | None:
    """Return the JetPack that an L4T version belongs to, None where unknown.

    >>> jetpack_of("36.4.3"), jetpack_of("36.4.0"), jetpack_of("39.2.1"), jetpack_of("99.1")
    ('6.2', '6.1', '7.2', None)
    """
    numbers = (l4t or "").split(".")
    prefixes = (".".join(numbers[:length]) for length in range(len(numbers), 0, -1))
    return next((_JETPACKS[prefix] for prefix in prefixes if prefix in _JETPACKS), None)


def clocks_hz(root: Path = Path("/")) -> Mapping[str, int] | None:
    """Return the GPU's and the memory's clocks by name, None where none is readable.

    Args:
        root: The folder that stands for the root of the file system.
    """
    found: dict[str, int | None] = {}
    for folder in find(root / "sys/class/devfreq", "*"):
        name = read_text(folder / "device/of_node/name") or folder.name
        if _GPU_NAMES.search(name):
            for kind in ("cur", "min", "max"):
                found.setdefault(f"gpu {kind}", read_number(folder / f"{kind}_freq"))
    found |= {"emc cur": read_number(root / _EMC / "rate")}
    found |= {"emc max": read_number(root / _EMC / "max_rate")}
    known = {name: hertz for name, hertz in found.items() if hertz is not None}
    return known or None


def are_clocks_locked(root: Path = Path("/")) -> bool | None:
    """Return whether the GPU's clock can't move, as after `jetson_clocks`; None where unknown.

    Args:
        root: The folder that stands for the root of the file system.
    """
    clocks = clocks_hz(root) or {}
    least, largest = clocks.get("gpu min"), clocks.get("gpu max")
    return None if least is None or largest is None else least == largest


def gpu_load(root: Path = Path("/")) -> float | None:
    """Return the share of time that a Jetson's GPU is busy, from 0 to 1, None where unknown.

    Args:
        root: The folder that stands for the root of the file system.
    """
    loads = (read_number(root / file) for file in _LOADS)
    thousandths = next((load for load in loads if load is not None), None)
    valid = thousandths is not None and 0 <= thousandths <= 1000
    return thousandths / 1000 if valid and thousandths is not None else None
