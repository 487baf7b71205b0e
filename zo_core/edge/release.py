"""Giving back memory that only loading needed: freed heap, and pages of libraries' files.

Importing ONNX Runtime and building a session reads much of the library that no forward reads
again. Those pages stay resident until the system lacks memory; dropped, the few that are needed
are mapped again from the page cache.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_SMAPS = Path("/proc/self/smaps")
_MADV_DONTNEED = 4
_HEX = frozenset("0123456789abcdef")  # how a mapping's first line begins; the others: "Rss: ..."


def release_loaded() -> None:
    """Return freed heap to the system and drop unwritten pages of mapped files (Linux)."""
    with suppress(OSError, AttributeError):  # no C library that can
        libc = ctypes.CDLL(None)
        libc.malloc_trim(0)
        _drop_file_pages(libc)


def _drop_file_pages(libc: Any) -> None:
    advise = libc.madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with _SMAPS.open() as smaps:
        found = list(unwritten_mappings(smaps))
    for start, end in found:
        advise(start, end - start, _MADV_DONTNEED)


def unwritten_mappings(smaps: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Find read-only mappings of files of which no page was written to: the file gives them again.

    Args:
        smaps: lines of /proc/PID/smaps.

    Yields:
        First address and end.
    """
    start = end = 0
    is_read_only = False
    for line in smaps:
        if line[0] in _HEX:
            place, mode, _, _, inode = line.split(maxsplit=5)[:5]
            is_read_only = mode[1] == "-" and mode[3] == "p" and inode != "0"
            start, end = (int(address, 16) for address in place.split("-"))
        elif is_read_only and line.startswith("Anonymous:") and line.split()[1] == "0":
            yield start, end
