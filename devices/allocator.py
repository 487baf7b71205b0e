"""Which library serves malloc here, and how a child is started without a preloaded one.

Launchers preload allocators (tcmalloc, jemalloc, mimalloc) for speed. They keep freed memory and
know no `malloc_trim`, so memory above a baseline can't be measured under them: `devices.heap`
finds that out by trying, and `run_isolated` starts its children without them.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.files import read_text
from devices.reading import to_plain

_REMOVED = "DEVICES_REMOVED_PRELOADS"
_PRELOAD = "LD_PRELOAD"
_SETTINGS = "MALLOC_"  # of mallopt(3), e.g. MALLOC_TOP_PAD_
_TUNABLES, _OF_MALLOC = "GLIBC_TUNABLES", "glibc.malloc."
PRELOADS_FOR_ALL = "etc/ld.so.preload"
_TRIES = 3  # other threads take and free memory meanwhile
_BLOCK_BYTES = 16 << 10  # below any threshold from which malloc maps blocks apart
_ALLOCATOR = re.compile(r"alloc|hoard|scudo", re.IGNORECASE)  # in the name of a library's file


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocator:
    """Describe what serves malloc in this process.

    Args:
        library: File name of the library that defines malloc, e.g. "libc.so.6"; None where the
            system does not report it.
        preloads: File names of all preloaded libraries.
        removed_preloads: Allocators that `run_isolated` left out when it started this process.
    """

    library: str | None
    preloads: tuple[str, ...]
    removed_preloads: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the description as plain JSON data."""
        return to_plain(self)

    def __str__(self) -> str:
        """Name the library, and the preloaded ones if any."""
        library = self.library or "an unknown allocator"
        return f"{library} (preloaded: {', '.join(self.preloads)})" if self.preloads else library


def find_allocator(root: Path = Path("/")) -> Allocator:
    """Describe what serves malloc in this process.

    Args:
        root: The folder that stands for the root of the file system.
    """
    own = tuple(Path(entry).name for entry in _entries(os.environ.get(_PRELOAD, "")))
    return Allocator(
        library=_malloc_library(),
        preloads=own + preloads_for_all(root),
        removed_preloads=removed_preloads(os.environ),
    )


def preloads_for_all(root: Path = Path("/")) -> tuple[str, ...]:
    """Return the file names of the libraries that a system preloads into every process.

    Args:
        root: The folder that stands for the root of the file system.
    """
    return tuple(Path(entry).name for entry in _entries(read_text(root / PRELOADS_FOR_ALL) or ""))


def without_allocators(env: Mapping[str, str]) -> dict[str, str]:
    """Return an environment that preloads and tunes no allocator; it names those left out.

    Args:
        env: Environment variables; all that is not of malloc stays.

    >>> without_allocators({"LD_PRELOAD": "/usr/lib/libjemalloc.so.2:libiomp5.so"})
    {'LD_PRELOAD': 'libiomp5.so', 'DEVICES_REMOVED_PRELOADS': 'libjemalloc.so.2'}
    """
    kept, removed = split_preloads(_entries(env.get(_PRELOAD, "")))
    names = [Path(entry).name for entry in removed]
    changed = {name: value for name, value in env.items() if not name.startswith(_SETTINGS)}
    if removed:
        changed = _set(changed, _PRELOAD, kept) | {_REMOVED: ":".join(names)}
    tunables = _entries(env.get(_TUNABLES, ""))
    others = [entry for entry in tunables if not entry.startswith(_OF_MALLOC)]
    return changed if others == tunables else _set(changed, _TUNABLES, others)


def _set(env: Mapping[str, str], name: str, entries: Sequence[str]) -> dict[str, str]:
    """Return the environment with a list as a variable, without the variable for an empty one."""
    rest = {key: value for key, value in env.items() if key != name}
    return {**env, name: ":".join(entries)} if entries else rest


def split_preloads(entries: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split preloaded libraries into those that stay in a child and the allocators that do not."""
    removed = [entry for entry in entries if _ALLOCATOR.search(Path(entry).name)]
    return [entry for entry in entries if entry not in removed], removed


def removed_preloads(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the allocators that `without_allocators` left out of an environment."""
    return tuple(_entries(env.get(_REMOVED, "")))


def _entries(text: str) -> list[str]:
    return [entry for entry in re.split(r"[:\s]+", text) if entry]


class _SymbolInfo(ctypes.Structure):
    """Dl_info of dladdr(3)."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


class MallInfo2(ctypes.Structure):
    """Struct mallinfo2 of mallinfo(3)."""

    _fields_ = (
        ("before", ctypes.c_size_t * 7),
        ("uordblks", ctypes.c_size_t),
        ("fordblks", ctypes.c_size_t),
        ("keepcost", ctypes.c_size_t),
    )


class MallInfo(ctypes.Structure):
    """Struct mallinfo, for glibc before 2.33; its int fields wrap."""

    _fields_ = (
        ("before", ctypes.c_uint * 7),
        ("uordblks", ctypes.c_uint),
        ("fordblks", ctypes.c_uint),
        ("keepcost", ctypes.c_uint),
    )


def is_replaced() -> bool:
    """Return whether malloc is not the C library's: then its malloc_trim can't trim.

    The address of malloc does not show it: in an executable that is not position-independent, as
    Debian's Python, it lies in the executable. So a block is taken, and the C library asked whether
    it counted it.
    """
    trimmer = library_of("malloc_trim")
    return trimmer is not None and not any(_counts_a_block(trimmer) for _ in range(_TRIES))


def _counts_a_block(library: str) -> bool:
    """Take a block by this process's malloc; return whether the library's mallinfo shows it."""
    owner, process = ctypes.CDLL(library), ctypes.CDLL(None)
    if library_of("mallinfo") != library:
        return False
    used = owner.mallinfo2 if hasattr(owner, "mallinfo2") else owner.mallinfo
    used.restype = MallInfo2 if hasattr(owner, "mallinfo2") else MallInfo
    process.malloc.restype, process.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    before = used().uordblks
    block = process.malloc(ctypes.c_size_t(_BLOCK_BYTES))
    grown = int(used().uordblks - before) % (1 << 32)
    process.free(block)
    return _BLOCK_BYTES <= grown < 1 << 31


def library_of(function: str) -> str | None:
    """Return the file name of the library that a C function of this process comes from.

    Args:
        function: E.g. "malloc".

    Returns:
        The name; None where there is no such function or the system does not report it.
    """
    if sys.platform == "win32":
        return None
    process = ctypes.CDLL(None)
    if not (hasattr(process, "dladdr") and hasattr(process, function)):
        return None
    info = _SymbolInfo()
    address = ctypes.cast(getattr(process, function), ctypes.c_void_p)
    found = process.dladdr(address, ctypes.byref(info))
    return Path(os.fsdecode(info.file)).name if found and info.file else None


def _malloc_library() -> str | None:
    """Name the library that defines malloc, also where its address lies in the executable.

    malloc_usable_size never lies there: Python does not call it, and allocators define it too.
    """
    library, trimmer = library_of("malloc"), library_of("malloc_trim")
    if trimmer is None or not is_replaced():
        return trimmer or library
    owner = library_of("malloc_usable_size")
    return library if owner == trimmer else owner
