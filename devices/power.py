"""What a machine runs on: its power mode and its battery."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from devices.commands import HERE, command_output
from devices.files import find, read_text

_MODE = "NV Power Mode: "
# In /etc/nvpmodel.conf, e.g. "< POWER_MODEL ID=1 NAME=5W >" (NVIDIA's guide to power management).
_DEFINED = re.compile(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>")


@dataclass(frozen=True, slots=True, kw_only=True)
class JetsonMode:
    """Hold a power mode that a Jetson offers."""

    number: int
    name: str

    @property
    def rank(self) -> tuple[bool, float]:
        """Order modes by speed: without a cap first, then by watts."""
        watts = re.match(r"\d+(?=W)", self.name)
        return "MAXN" in self.name, float(watts[0]) if watts else 0.0


def power_mode(root: Path = HERE) -> str | None:
    """Return the platform's profile, or a Jetson's mode: its name and number, else its number.

    Args:
        root: The folder that stands for the root of the file system.
    """
    profile = read_text(root / "sys/firmware/acpi/platform_profile")
    rows = (command_output(root, "nvpmodel -q") or "").splitlines()
    names = [row.partition(_MODE)[2].strip() for row in rows if _MODE in row]
    numbers = [f" ({row.strip()})" for row in rows if row.strip().isdigit()]
    jetson = names[0] + "".join(numbers[:1]) if names else None
    return profile or jetson or read_text(root / "var/lib/nvpmodel/status")


def fastest_jetson_mode(root: Path = HERE) -> JetsonMode | None:
    """Return the fastest mode that a Jetson's settings define, None where they are not found.

    Its number differs by board: 2 on an Orin Nano with MAXN_SUPER, 0 on an Orin NX
    (github.com/ARK-Electronics/ark_jetson_kernel, pull 20).

    Args:
        root: The folder that stands for the root of the file system.
    """
    defined = _DEFINED.findall(read_text(root / "etc/nvpmodel.conf") or "")
    modes = [JetsonMode(number=int(number), name=name) for number, name in defined]
    return max(modes, key=lambda mode: mode.rank, default=None)


def battery_state(root: Path = HERE) -> str | None:
    """Return what the first battery says ("Charging", "Discharging"), None where there is none.

    Args:
        root: The folder that stands for the root of the file system.
    """
    supplies = find(root / "sys/class/power_supply", "*")
    batteries = [folder for folder in supplies if _kind(folder) == "Battery"]
    return next((read_text(folder / "status") for folder in batteries), None)


def _kind(folder: Path) -> str | None:
    """Return a supply's type; in a copy that lacks the file, ACPI's name of batteries says it."""
    return read_text(folder / "type") or ("Battery" if folder.name.startswith("BAT") else None)
