"""Read the small files by which a system describes itself: a value or None, whatever lies there.

A file may be missing, forbidden, empty, a folder, binary, or say "max" where a number is
expected; a driver may answer a read with any error. None of it raises: the caller knows what the
file stands for and words the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_NUMBER = re.compile(r"-?[0-9]{1,19}")


def read_text(path: Path) -> str | None:
    r"""Return a file's text without the blanks and NULs around it, None where there is none.

    >>> read_text(Path("/no/such/file")) is None
    True
    """
    try:
        # Device-tree strings end with a NUL.
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \t\r\n") or None
    except (OSError, ValueError):
        return None


def exists(path: Path) -> bool:
    """Return whether a path is there; what may not be looked at is not."""
    try:
        return path.exists()
    except OSError:  # permission denied, for one
        return False


def find(folder: Path, pattern: str) -> list[Path]:
    """Return the paths below a folder that match a pattern, sorted; none if it cannot be read."""
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def read_number(path: Path) -> int | None:
    """Return the whole number that a file consists of, None where it is anything else."""
    return parse_number(read_text(path) or "")


def parse_number(text: str) -> int | None:
    """Return a text as a whole number, None where it is none: "max", "1000 kB", "".

    >>> parse_number("-12"), parse_number("max"), parse_number("45 C")
    (-12, None, None)
    """
    return int(text) if _NUMBER.fullmatch(text) else None


def parse_sizes(text: str) -> Mapping[str, int]:
    r"""Return the sizes in a text such as /proc/meminfo or /proc/PID/status, in bytes.

    >>> parse_sizes("Name:\tpython\nVmRSS:\t  12 kB\n")
    {'VmRSS': 12288}
    """
    sizes = {}
    for line in text.splitlines():
        name, _, size = line.partition(":")
        kib = parse_number(size.removesuffix("kB").strip()) if size.endswith(" kB") else None
        if kib is not None:
            sizes[name] = kib * 1024
    return sizes
