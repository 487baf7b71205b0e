"""Giving back memory that only loading needed: freed heap, and pages of libraries' files.

Importing ONNX Runtime and building a session reads much of the library that no forward reads
again. Those pages stay resident until the system lacks memory; dropped, the few that are needed
are mapped again from the page cache.
"""

from __future__ import annotations

import ctypes
import gc
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_SMAPS = Path("/proc/self/smaps")
_MADV_DONTNEED = 4
# start, end, permissions, inode of the file (0: no file)
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ (\d+)")


def release_loaded() -> None:
    """Return freed heap to the system and drop unwritten pages of mapped files (Linux)."""
    gc.collect()
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
        found = _MAPPING.match(line)
        if found:
            start, end = int(found[1], 16), int(found[2], 16)
            is_read_only = "w" not in found[3] and found[3][3] == "p" and found[4] != "0"
        elif is_read_only and line.split() == ["Anonymous:", "0", "kB"]:
            yield start, end
