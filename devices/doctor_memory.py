"""The doctor's checks of what moves a memory figure; each knows what to do about it."""

from __future__ import annotations

from pathlib import Path

from devices.allocator import PRELOADS_FOR_ALL, preloads_for_all, split_preloads
from devices.cgroup import V2, own_group
from devices.commands import HERE
from devices.files import exists, parse_sizes, read_text
from devices.finding import Finding
from devices.group_limits import lowest_group_limit
from devices.kernel import memory_options, page_size_bytes
from devices.memory import huge_page_mode

_LOW_MEMORY_BYTES = 192 << 20  # what a client without torch takes, and some for the system
_MISSING_OPTION = (
    "append cgroup_enable=memory to the line in /boot/firmware/cmdline.txt and reboot (on"
    " Raspberry Pi OS it is off by default)"
)
# raspberrypi/linux, pulls 6524 and 7442: other kernels do not know it, nor did some of 2024.
_IGNORED_OPTION = (
    "cgroup_enable=memory is given, but this kernel ignores it: only Raspberry Pi OS's own kernel"
    " knows it, so update that (sudo apt full-upgrade) or use that system"
)


def free_memory(root: Path) -> Finding | None:
    """Look whether the smallest client fits."""
    available = parse_sizes(read_text(root / "proc/meminfo") or "").get("MemAvailable")
    return (
        None
        if available is None
        else Finding.of(
            "available memory",
            f"{available >> 20} MiB",
            "problem" if available < _LOW_MEMORY_BYTES else None,
            "end other programs, and boot without a desktop",
        )
    )


def memory_cgroup(root: Path) -> Finding | None:
    """Look for the memory group that limits and peaks of children need.

    From Linux 6.12 on Raspberry Pi OS /proc/cgroups lacks it though it is on (raspberrypi/linux,
    issue 6980), so version 2's list of controllers is what counts.
    """
    controllers = read_text(root / "sys/fs/cgroup/cgroup.controllers")
    switch = _last_memory_switch(root)
    has_v1 = exists(root / "sys/fs/cgroup/memory/memory.usage_in_bytes")
    if controllers is None and not has_v1 and switch != "cgroup_disable":
        return None
    is_on = has_v1 or "memory" in (controllers or "").split()
    return Finding.of(
        "memory control group",
        "on" if is_on else "off: limits use RLIMIT_DATA, which counts less exactly",
        None if is_on else "advice",
        _IGNORED_OPTION if switch == "cgroup_enable" else _MISSING_OPTION,
    )


def _last_memory_switch(root: Path) -> str | None:
    """Return the last option that switches the memory group, since the last one counts."""
    options = (word.partition("=") for word in memory_options(root) or ())
    switches = [
        key
        for key, _, groups in options
        if key in ("cgroup_enable", "cgroup_disable") and "memory" in groups.split(",")
    ]
    return switches[-1] if switches else None


def session_limit(root: Path) -> Finding | None:
    """Look for a limit that a container, a slice or a session sets below the machine's memory."""
    limit = lowest_group_limit(root)
    return (
        None
        if limit is None
        else Finding.of(
            "memory limit of this session",
            f"{limit.size_bytes >> 20} MiB by {limit.name}",
            "advice",
            "nothing in a container that is meant to be small; else raise it (docker run --memory,"
            " or MemoryMax= and MemoryHigh= of the unit or slice)",
        )
    )


def delegation(root: Path) -> Finding | None:
    """Look whether this session's group may use the memory controller that the machine has."""
    group = own_group(root / "proc", root / "sys/fs/cgroup")
    top = read_text(root / "sys/fs/cgroup/cgroup.controllers")
    if group is None or group.version != V2 or "memory" not in (top or "").split():
        return None
    own = (read_text(group.path / "cgroup.controllers") or "").split()
    return Finding.of(
        "memory controller of this session",
        "delegated" if "memory" in own else f"not in {group.path}/cgroup.controllers",
        None if "memory" in own else "advice",
        "run in `systemd-run --user --scope -p MemoryAccounting=yes`, or as root: echo +memory |"
        " sudo tee /sys/fs/cgroup/cgroup.subtree_control",
    )


def compressed_swap(root: Path) -> Finding | None:
    """Look for swap in compressed memory, which hides what a process needs."""
    rows = (read_text(root / "proc/swaps") or "").splitlines()[1:]
    names = [row.split()[0] for row in rows if row.split()]
    zram = [name for name in names if "zram" in name]
    if not names:
        return None
    return Finding.of(
        "swap",
        ", ".join(names),
        "advice" if zram else None,
        f"sudo swapoff {' '.join(zram)} while you measure: swapped pages leave the peak, which is"
        " then marked as swapped",
    )


def preloaded(root: Path) -> Finding | None:
    """Look for an allocator that every process loads."""
    if root != HERE and not exists(root / PRELOADS_FOR_ALL):
        return None
    _, allocators = split_preloads(preloads_for_all(root))
    return Finding.of(
        "preloaded allocator",
        ", ".join(allocators) or "none",
        "problem" if allocators else None,
        "take it out of /etc/ld.so.preload: peaks above a baseline are null under it",
    )


def pages(root: Path) -> Finding | None:
    """Look at the page size: memory is counted in whole pages."""
    size = page_size_bytes(root)
    if size is None:
        return None
    remedy = (
        "nothing, unless a preloaded jemalloc ends with 'Unsupported system page size': then"
        " kernel=kernel8.img in config.txt gives 4 KiB pages (Raspberry Pi 5)"
    )
    return Finding.of("page size", f"{size >> 10} KiB", "advice" if size > 4096 else None, remedy)


def huge_pages(root: Path) -> Finding | None:
    """Look whether the kernel gives huge pages unasked."""
    name = huge_page_mode(root)
    return (
        None
        if name is None
        else Finding.of(
            "transparent huge pages",
            name,
            "advice" if name == "always" else None,
            "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled: peaks come in"
            " steps of 2 MiB",
        )
    )


def fake_numa(root: Path) -> Finding | None:
    """Look for emulated memory nodes, on by default on a Raspberry Pi 5."""
    words = [word for word in memory_options(root) or () if word.startswith("numa=fake")]
    return (
        Finding.of(
            "emulated NUMA",
            words[-1],
            "advice",
            "nothing for figures of this board as it ships; numa=off in cmdline.txt compares it"
            " with others",
        )
        if words
        else None
    )


MEMORY_CHECKS = (
    *(free_memory, memory_cgroup, delegation, session_limit, compressed_swap, preloaded, pages),
    *(huge_pages, fake_numa),
)
