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
_FOR_ALL = "etc/ld.so.preload"
_ALLOCATOR = re.compile(r"alloc|hoard|scudo", re.IGNORECASE)  # in the name of a library's file


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocator:
    """Describe what serves malloc in this process.

    Args:
        library: File name of the library that defines malloc, e.g. "libc.so.6"; None where the
            system does not tell.
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
    preloads = _entries(os.environ.get(_PRELOAD, "")) + _entries(read_text(root / _FOR_ALL) or "")
    return Allocator(
        library=library_of("malloc"),
        preloads=tuple(Path(entry).name for entry in preloads),
        removed_preloads=removed_preloads(os.environ),
    )


def without_allocators(env: Mapping[str, str]) -> dict[str, str]:
    """Return an environment that preloads no allocator, and names in it those left out.

    Args:
        env: Environment variables; other preloaded libraries stay.

    >>> without_allocators({"LD_PRELOAD": "/usr/lib/libjemalloc.so.2:libiomp5.so"})
    {'LD_PRELOAD': 'libiomp5.so', 'DEVICES_REMOVED_PRELOADS': 'libjemalloc.so.2'}
    """
    kept, removed = split_preloads(_entries(env.get(_PRELOAD, "")))
    if not removed:
        return dict(env)
    names = [Path(entry).name for entry in removed]
    changed = {**env, _PRELOAD: ":".join(kept), _REMOVED: ":".join(names)}
    return changed if kept else {name: changed[name] for name in changed if name != _PRELOAD}


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


def is_replaced() -> bool:
    """Tell whether malloc and malloc_trim come from two libraries: the one can't trim the other."""
    trimmer = library_of("malloc_trim")
    return trimmer is not None and library_of("malloc") != trimmer


def library_of(function: str) -> str | None:
    """Return the file name of the library that a C function of this process comes from.

    Args:
        function: E.g. "malloc".

    Returns:
        The name; None where there is no such function or the system does not tell.
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
