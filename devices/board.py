"""What the firmware calls this machine, where its maker gave it a name at all."""

from __future__ import annotations

import re
from pathlib import Path

from devices.files import read_text

_DMI = "sys/class/dmi/id"
# What stands in the tables of boards whose maker left them as they came.
_FILL_IN = re.compile(
    r"to be filled.*|default string|system (product )?(name|version)|product name|"
    r"type1productconfigid|o\.?e\.?m\.?|not (specified|applicable|available|defined|set)|"
    r"unknown|undefined|invalid|none|null|n/?a|empty|all series|<?bad index>?|"
    r"0?123456789|[\W_x0]*",
    re.IGNORECASE,
)


def board_name(root: Path = Path("/")) -> str | None:
    """Return the board's or the product's name, None where the firmware has only fill-ins.

    Args:
        root: The folder that stands for the root of the file system.
    """
    files = ("proc/device-tree/model", f"{_DMI}/product_name", f"{_DMI}/board_name")
    names = (read_text(root / file) for file in files)
    return next((name for name in (*names, _pi_model(root)) if name and is_name(name)), None)


def _pi_model(root: Path) -> str | None:
    """Return the last entry of a Raspberry Pi's cpuinfo, which other machines lack."""
    rows = (read_text(root / "proc/cpuinfo") or "").splitlines()
    facts = {key.strip(): value.strip() for key, _, value in (row.partition(":") for row in rows)}
    return facts.get("Model")


def is_name(text: str) -> bool:
    """Tell a name from what firmware says where nobody entered one.

    >>> is_name("ThinkPad T480"), is_name("To Be Filled By O.E.M."), is_name("Default string")
    (True, False, False)
    """
    return (
        text.isprintable()
        and "\N{REPLACEMENT CHARACTER}" not in text
        and not (_FILL_IN.fullmatch(text))
    )
