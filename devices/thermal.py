"""Temperature, and what the hardware reports of being slowed down by heat or a weak supply.

| source | of |
|---|---|
| vcgencmd get_throttled | Raspberry Pi: bits for now and, 16 higher, since the boot |
| *firmware/get_throttled | the same where that command is absent |
| hwmon rpi_volt | Raspberry Pi by the upstream kernel: an alarm of under-voltage |
| hwmon soctherm_oc | Jetson: over-current events since the boot |
| cpu0/thermal_throttle | x86: throttle events since the boot |
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from devices.commands import command_output
from devices.files import find, read_number, read_text

_ZONES = "sys/class/thermal"
# A zone that is not measured: it reads 100 degrees whatever the temperature (Jetson).
_FIXED_ZONES = ("pmic-die", "pmic_die")
_PLAUSIBLE_C = (1.0, 150.0)  # fill-ins are 0, -40, -127, -273.15; other units read far off
_PI_FLAGS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")


def temperature_c(root: Path = Path("/")) -> float | None:
    """Return the hottest thermal zone in degrees Celsius, None where none is measured.

    Args:
        root: The folder that stands for the root of the file system.
    """
    coldest, hottest = _PLAUSIBLE_C
    readings = (
        (read_number(zone / "temp") or 0) / 1000
        for zone in find(root / _ZONES, "thermal_zone*")
        if (read_text(zone / "type") or "").lower() not in _FIXED_ZONES
    )
    return max((each for each in readings if coldest <= each <= hottest), default=None)


def throttling(root: Path = Path("/")) -> tuple[str, ...] | None:
    """Return what the hardware reports of under-voltage and throttling.

    Args:
        root: The folder that stands for the root of the file system.

    Returns:
        A phrase for each, () where there was none; None where nothing is readable.
    """
    reports = [*_pi_firmware(root), *_hwmon(root), *_x86(root)]
    return tuple(phrase for phrase in reports if phrase) if reports else None


def _pi_firmware(root: Path) -> Iterator[str]:
    # The file has read 0 while the command read 0x80008: raspberrypi/linux, issue 2367.
    report = (command_output(root, "vcgencmd get_throttled") or "").removeprefix("throttled=")
    files = find(root / "sys/devices/platform", "soc*/*firmware/get_throttled")
    for text in [report] if report else [read_text(file) or "" for file in files]:
        if re.fullmatch(r"(0x)?[0-9a-fA-F]{1,8}", text):
            bits = int(text, 16)
            for flag, name in enumerate(_PI_FLAGS):
                yield f"{name} now" if bits >> flag & 1 else ""
                yield f"{name} since boot" if bits >> flag + 16 & 1 else ""


def _hwmon(root: Path) -> Iterator[str]:
    for folder in find(root / "sys/class/hwmon", "hwmon*"):
        chip = read_text(folder / "name")
        if chip == "rpi_volt" and (alarm := read_number(folder / "in0_lcrit_alarm")) is not None:
            yield "under-voltage since boot" if alarm else ""
        if chip == "soctherm_oc":
            for file in find(folder, "oc*_event_cnt"):
                yield _counted(file, f"over-current {file.name.removesuffix('_event_cnt')}")


def _x86(root: Path) -> Iterator[str]:
    folder = root / "sys/devices/system/cpu/cpu0/thermal_throttle"
    for kind in ("core", "package"):
        file = folder / f"{kind}_throttle_count"
        if read_number(file) is not None:
            yield _counted(file, f"{kind} throttled")


def _counted(file: Path, what: str) -> str:
    count = read_number(file) or 0
    return f"{what} {count} times since boot" if count > 0 else ""
