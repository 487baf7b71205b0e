"""What a machine runs on: its power mode and its battery."""

from __future__ import annotations

from pathlib import Path

from devices.commands import HERE, command_output
from devices.files import find, read_text

_MODE = "NV Power Mode: "


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
