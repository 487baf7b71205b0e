"""Host memory of this process as the operating system reports it, at one moment.

The limits first: resident memory counts shared file pages (libraries) that other processes use
too; it does not count explicit huge pages (hugetlb), which are read separately, nor page tables,
nor files in a memory file system. On Linux before 6.16 the kernel adds up per-CPU counters
loosely, so that a reading can be off by about 128 KiB per core and more on machines with many
cores.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.files import find, parse_number, parse_sizes, read_text
from devices.reading import to_plain

_STATUS = "proc/self/status"
_HUGE_PAGES = "sys/kernel/mm/transparent_hugepage/enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMemory:
    """Hold the memory of this process at one moment; None where the kernel does not report it.

    Args:
        rss_bytes: Resident memory.
        peak_rss_bytes: High-water mark of resident memory since start or the last reset.
        anon_bytes: Resident anonymous pages (heap, stacks, tensors).
        file_bytes: Resident file pages (libraries, mapped files).
        shmem_bytes: Resident shared memory.
        hugetlb_bytes: Explicit huge pages, which resident memory does not count.
        swap_bytes: Pages of this process that were swapped out.
        zram_bytes: What the whole machine has swapped to compressed memory.
        major_faults: Page faults since start that had to read from a disk.
    """

    rss_bytes: int
    peak_rss_bytes: int | None = None
    anon_bytes: int | None = None
    file_bytes: int | None = None
    shmem_bytes: int | None = None
    hugetlb_bytes: int | None = None
    swap_bytes: int | None = None
    zram_bytes: int | None = None
    major_faults: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the memory as plain JSON data."""
        return to_plain(self)


def read_host_memory(root: Path = Path("/")) -> HostMemory:
    """Read this process's memory: /proc on Linux, psutil where that has no resident memory.

    Args:
        root: The folder that stands for the root of the file system.

    Returns:
        Resident memory and its parts, in bytes.
    """
    status = parse_sizes(read_text(root / _STATUS) or "")
    if "VmRSS" not in status:
        import psutil

        return HostMemory(rss_bytes=psutil.Process().memory_info().rss)
    return HostMemory(
        rss_bytes=status["VmRSS"],
        peak_rss_bytes=status.get("VmHWM"),
        anon_bytes=status.get("RssAnon"),
        file_bytes=status.get("RssFile"),
        shmem_bytes=status.get("RssShmem"),
        hugetlb_bytes=status.get("HugetlbPages"),
        swap_bytes=status.get("VmSwap"),
        zram_bytes=_zram_bytes(root),
        major_faults=_major_faults(),
    )


def huge_page_mode(root: Path = Path("/")) -> str | None:
    """Return the transparent huge page mode ("always", "madvise", "never"), None where unknown.

    Args:
        root: The folder that stands for the root of the file system.
    """
    words = (read_text(root / _HUGE_PAGES) or "").split()
    chosen = (word for word in words if word.startswith("[") and word.endswith("]"))
    return next(chosen, "").strip("[]") or None


def _zram_bytes(root: Path) -> int | None:
    """Sum the uncompressed sizes, the first number of each device's mm_stat."""
    texts = [read_text(path) for path in find(root / "sys/block", "zram*/mm_stat")]
    sizes = [parse_number(text.split()[0]) for text in texts if text]
    known = [size for size in sizes if size is not None]
    return sum(known) if known else None


def _major_faults() -> int:
    import resource  # POSIX only

    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt
