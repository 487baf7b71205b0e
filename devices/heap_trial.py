"""Try whether resident memory follows what this process takes and frees.

A peak above a baseline rests on it: where freed memory stays resident, a region that takes it
again reads low, down to nothing. Allocators such as tcmalloc, jemalloc and mimalloc keep it; some
(jemalloc) give it back at one time and not at another, so that a trial alone is no proof.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

from devices import heap
from devices.allocator import find_allocator, is_replaced
from devices.memory import read_host_memory

# Blocks of the heap proper: glibc maps larger ones apart and, once such a one is freed, keeps more
# memory than before, which would change what is measured afterwards.
_BLOCK_BYTES, _BLOCKS = 64 << 10, 128
_TRIES = 3  # other threads take and free memory meanwhile
_ENOUGH_BYTES = _BLOCK_BYTES * _BLOCKS // 2  # of a reading that may be off by its per-CPU counters


@functools.cache
def why_freed_memory_stays() -> str | None:
    """Take 8 MiB and free them, and see whether resident memory rises and falls again.

    An allocator that took the C library's place fails too, since `malloc_trim` can't reach it.

    Tried once in a process, since its allocator does not change.

    Returns:
        What is wrong; None where nothing is.
    """
    allocator, remedy = find_allocator(), "start without preloaded allocators and settings"
    if is_replaced():
        return f"malloc_trim cannot return memory freed under {allocator}; {remedy}"
    for _ in range(_TRIES):
        taken, left = take_and_free()
        if taken > _ENOUGH_BYTES > left:
            return None
    return (
        f"freed memory stays resident under {allocator}: of 8 MiB taken, {taken / 2**20:.1f} MiB "
        f"showed and {left / 2**20:.1f} MiB stayed after they were freed; {remedy}"
    )


def take_and_free() -> tuple[int, int]:
    """Return by how much the trial's blocks raise resident memory, and what stays of them."""
    libc = _c_heap()
    heap.give_back()  # otherwise the blocks may reuse freed memory that is still resident
    before = _held_bytes()
    blocks = [libc.malloc(_BLOCK_BYTES) for _ in range(_BLOCKS)]
    for block in filter(None, blocks):
        ctypes.memset(block, 1, _BLOCK_BYTES)
    taken = _held_bytes() - before
    for block in blocks:
        libc.free(block)
    heap.give_back()
    return taken, _held_bytes() - before


def _held_bytes() -> int:
    seen = read_host_memory()
    return seen.rss_bytes + (seen.hugetlb_bytes or 0)


def _c_heap() -> Any:
    libc = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    return libc
