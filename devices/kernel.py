"""What of the kernel's settings moves a figure: page size, command line, clock source."""

from __future__ import annotations

import os
import re
from pathlib import Path

from devices.commands import HERE, command_output
from devices.files import parse_number, read_text

# Keys of options on memory, huge pages, swap, memory groups and NUMA; all others stay unread,
# since a command line may hold names, addresses and keys.
_MEMORY_OPTION = re.compile(
    r"mem|memmap|movablecore|kernelcore|cma|hugetlb_cma|coherent_pool|vc_mem\.mem_(base|size)|"
    r"(default_)?hugepagesz?|transparent_hugepage|thp_anon|swapaccount|zswap\.\w+|"
    r"cgroup_(enable|disable|memory)|init_on_(alloc|free)|page_poison|"
    r"numa|numa_\w+|iommu_dma_numa_policy"
)


def page_size_bytes(root: Path = HERE) -> int | None:
    """Return the size of a page of memory (4, 16 or 64 KiB), None where unknown.

    Args:
        root: The folder that stands for the root of the file system.
    """
    if root != HERE:
        return parse_number(command_output(root, "getconf PAGE_SIZE") or "")
    sizes = getattr(os, "sysconf_names", {})
    return os.sysconf("SC_PAGE_SIZE") if "SC_PAGE_SIZE" in sizes else None


def clock_source(root: Path = HERE) -> str | None:
    """Return what the kernel takes time from, e.g. "tsc", "arch_sys_counter"; None if unknown.

    Args:
        root: The folder that stands for the root of the file system.
    """
    return read_text(root / "sys/devices/system/clocksource/clocksource0/current_clocksource")


def memory_options(root: Path = HERE) -> tuple[str, ...] | None:
    """Return the words of the kernel's command line that concern memory and NUMA, and no others.

    Args:
        root: The folder that stands for the root of the file system.

    Returns:
        The words in order, e.g. "cgroup_disable=memory"; None where the line cannot be read.
    """
    line = read_text(root / "proc/cmdline")
    if line is None:
        return None
    options = line.partition(" -- ")[0].split()  # what follows is for the first process
    return tuple(word for word in options if _MEMORY_OPTION.fullmatch(word.partition("=")[0]))
