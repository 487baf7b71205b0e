"""Host memory of this process as the operating system tells it, in one look.

The limits first: resident memory counts shared file pages (libraries) that other processes use
too, and on Linux before 6.16 the kernel adds up per-CPU counters loosely, so that a reading
can be off by about 128 KiB per core and more on machines with many cores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from devices.reading import to_plain

_STATUS = Path("/proc/self/status")
_HUGE_PAGES = "sys/kernel/mm/transparent_hugepage/enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMemory:
    """Hold one look at the memory of this process; None where the kernel does not tell.

    Args:
        rss_bytes: Resident memory.
        peak_rss_bytes: High-water mark of resident memory since start or the last reset.
        anon_bytes: Resident anonymous pages (heap, stacks, tensors).
        file_bytes: Resident file pages (libraries, mapped files).
        shmem_bytes: Resident shared memory.
        swap_bytes: Pages of this process that were swapped out.
        major_faults: Page faults since start that had to read from a disk.
    """

    rss_bytes: int
    peak_rss_bytes: int | None
    anon_bytes: int | None
    file_bytes: int | None
    shmem_bytes: int | None
    swap_bytes: int | None
    major_faults: int | None

    def to_json(self) -> dict[str, Any]:
        """Return the look as plain JSON data."""
        return to_plain(self)


def read_host_memory() -> HostMemory:
    """Read this process's memory: /proc on Linux, psutil elsewhere.

    Returns:
        Resident memory and its parts, in bytes.
    """
    if not _STATUS.exists():
        return _from_psutil()
    status = parse_status(_STATUS.read_text())
    return HostMemory(
        rss_bytes=status["VmRSS"],
        peak_rss_bytes=status.get("VmHWM"),
        anon_bytes=status.get("RssAnon"),
        file_bytes=status.get("RssFile"),
        shmem_bytes=status.get("RssShmem"),
        swap_bytes=status.get("VmSwap"),
        major_faults=_major_faults(),
    )


def parse_status(text: str) -> Mapping[str, int]:
    r"""Return the sizes in a /proc/PID/status text, in bytes.

    >>> parse_status("Name:\tpython\nVmRSS:\t  12 kB\n")
    {'VmRSS': 12288}
    """
    rows = (line.split() for line in text.splitlines() if line.endswith(" kB"))
    return {name.rstrip(":"): int(kib) * 1024 for name, kib, _ in rows}


def huge_page_mode(root: Path = Path("/")) -> str | None:
    """Return the transparent huge page mode ("always", "madvise", "never"), None where unknown.

    Args:
        root: The folder that stands for the root of the file system.
    """
    try:
        text = (root / _HUGE_PAGES).read_text()
    except OSError:
        return None
    return text[text.index("[") + 1 : text.index("]")]


def _major_faults() -> int:
    import resource  # POSIX only

    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


def _from_psutil() -> HostMemory:
    return HostMemory(
        rss_bytes=psutil.Process().memory_info().rss,
        peak_rss_bytes=None,
        anon_bytes=None,
        file_bytes=None,
        shmem_bytes=None,
        swap_bytes=None,
        major_faults=None,
    )
