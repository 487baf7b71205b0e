"""Power of a Raspberry Pi 5's rails, as its power chip (PMIC) measures them.

`vcgencmd pmic_read_adc` prints current and voltage of 12 rails, and the voltage alone of EXT5V (the
input) and BATT: the input's power is not measured (github.com/ml-energy/zeus, issue 273 and pull
274, which takes the sum for the whole board). USB's 5 V is none of the rails, and the converters'
losses are missing. Earlier models have no such chip.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from devices.commands import command_output

COMMAND = "vcgencmd pmic_read_adc"
# "  VDD_CORE_A current(7)=6.22421000A"; the firmware separates lines by newlines or NULs.
_CHANNEL = re.compile(r"(\w+)_([AV]) (?:current|volt)\(\d+\)=([0-9.]+)\2(?=[\s\0]|$)")


def rail_watts(output: str) -> Mapping[str, float]:
    r"""Return the power of each rail that has both a current and a voltage.

    Args:
        output: What `vcgencmd pmic_read_adc` printed.

    >>> rail_watts("HDMI_A current(22)=0.5A\nHDMI_V volt(23)=5.0V\nEXT5V_V volt(24)=5.1V")
    {'HDMI': 2.5}
    """
    channels: dict[str, dict[str, float]] = {"A": {}, "V": {}}
    for rail, unit, value in _CHANNEL.findall(output):
        if value.count(".") <= 1 and value != ".":
            channels[unit][rail] = float(value)
    amperes, volts = channels["A"], channels["V"]
    return {rail: amperes[rail] * volts[rail] for rail in amperes if rail in volts}


def read_watts(root: Path) -> float | None:
    """Return the sum over all rails in watts, None where the chip does not answer.

    Args:
        root: "/" to ask it; any other folder is a copied tree.
    """
    rails = rail_watts(command_output(root, COMMAND) or "")
    return sum(rails.values()) if rails else None
