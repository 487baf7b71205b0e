"""Sizes of memory as a person writes them: a number and its unit."""

from __future__ import annotations

import re

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]I?B)", re.IGNORECASE)


def parse_size(text: str, option: str) -> int:
    """Read a size of memory, in bytes.

    Args:
        text: a number and its unit.
        option: whose value it is, for the message.

    Raises:
        ValueError: it has no unit, or is not a size.

    >>> parse_size("1.5 GB", "--reserve"), parse_size("512MiB", "--reserve") >> 20
    (1500000000, 512)
    """
    match = SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{option} must be a size with a unit, such as 150MiB, got {text!r}")
    return int(float(match[1]) * _UNITS[match[2].upper()])
