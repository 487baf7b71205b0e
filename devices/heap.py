"""The C heap: freed memory that stays resident would hide what a region allocates.

glibc keeps freed blocks for later. `malloc_trim` gives them back, but for one thing: the top of
a secondary arena (the heap of a thread other than the first) stays, up to 64 MiB. A process
with MALLOC_ARENA_MAX=1 in its environment, as `run_isolated` starts it, has no such arena; in
any other `untrimmed_bytes` bounds by how much a peak may read low. Other allocators keep what they
please: `devices.heap_trial` tries it.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import mmap
import re
import sys
from typing import Any

from devices.allocator import MallInfo2, is_replaced
from devices.reading import Reading, missing

ONE_ARENA = {"MALLOC_ARENA_MAX": "1"}

_METHOD = "malloc_info's free heap of threads, plus mallinfo2's untrimmed top"
# Each arena of malloc_info's report; number 0 is the first thread's, which is trimmed whole.
_ARENA = re.compile(r'<heap nr="(\d+)">.*?<total type="rest" count="\d+" size="(\d+)"/>', re.DOTALL)


def mmap_threshold_bytes(page_bytes: int | None = None) -> int:
    """Return from which size on a block should have pages of its own, which freeing returns.

    16 pages, so that rounding to whole pages adds at most a sixteenth: 64 KiB with pages of 4 KiB,
    256 KiB with the 16 KiB of a Raspberry Pi 5.

    Args:
        page_bytes: Size of a page; None for this machine's.

    >>> mmap_threshold_bytes(4096), mmap_threshold_bytes(16384)
    (65536, 262144)
    """
    return 16 * (page_bytes or mmap.PAGESIZE)


def trim() -> str:
    """Collect garbage and give freed heap back to the system.

    Returns:
        What was done, in words for a record.
    """
    gc.collect()
    return "gc.collect, malloc_trim(0)" if give_back() else "gc.collect (malloc_trim is glibc's)"


def give_back() -> bool:
    """Give freed heap back to the system; return False where the C library has no such call."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)
    return libc is not None


def untrimmed_bytes() -> Reading:
    """Return how much freed heap `trim` cannot return: a peak may read low by that much.

    Returns:
        An upper bound in bytes; None on C libraries and under allocators other than glibc. The
        first thread's top counts too: glibc can't trim it with glibc.malloc.hugetlb=2.
    """
    libc = None if is_replaced() else _glibc()
    if libc is None:
        return missing("byte", "only glibc reports its arenas", method=_METHOD)
    free = sum_secondary_arenas(_malloc_info(libc))
    return Reading(value=free + _top_bytes(libc), unit="byte", method=_METHOD)


def sum_secondary_arenas(report: str) -> int:
    """Return the free bytes of all arenas but the first in a malloc_info report."""
    return sum(int(size) for number, size in _ARENA.findall(report) if number != "0")


def _top_bytes(libc: Any) -> int:
    if not hasattr(libc, "mallinfo2"):  # glibc before 2.33 has no such setting either
        return 0
    libc.mallinfo2.restype = MallInfo2
    return int(libc.mallinfo2().keepcost)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "malloc_info"):  # musl returns freed pages by itself
        return None
    libc.open_memstream.restype = ctypes.c_void_p
    libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.fclose.argtypes = [ctypes.c_void_p]
    libc.free.argtypes = [ctypes.c_void_p]
    return libc


def _malloc_info(libc: Any) -> str:
    text, length = ctypes.c_void_p(), ctypes.c_size_t()
    stream = libc.open_memstream(ctypes.byref(text), ctypes.byref(length))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    report = ctypes.string_at(text, length.value).decode(errors="replace")
    libc.free(text)
    return report
