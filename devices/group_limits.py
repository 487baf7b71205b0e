"""The memory that control groups leave to this process: the lowest limit from its group upwards.

With version 2 a limit on any group above counts as well: a slice of systemd, a container, a pod.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from devices.cgroup import Group, own_group
from devices.files import parse_sizes, read_number, read_text


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLimit:
    """Hold one limit.

    Args:
        size_bytes: The limit.
        group: The group that has it.
        file: The file's name: above memory.high the kernel slows a process down to a standstill,
            above the others it kills.
    """

    size_bytes: int
    group: Group
    file: str

    @property
    def name(self) -> str:
        """Name the limit for people."""
        return f"control group {self.group.path} ({self.file})"

    def in_use_bytes(self) -> int:
        """Return what the group is charged with, less file pages that the kernel takes back first.

        Without that, files that were read once would count as memory that is not free.
        """
        current = self.group.current_bytes() or 0
        rows = (read_text(self.group.path / "memory.stat") or "").splitlines()
        stat = dict(row.split(" ", 1) for row in rows if " " in row)
        # Version 1 counts the groups below in rows of their own.
        cached = stat.get("total_inactive_file", stat.get("inactive_file", "0"))
        return max(current - (int(cached) if cached.strip().isdecimal() else 0), 0)


def group_limits(group: Group | None) -> Iterator[GroupLimit]:
    """List the limits of a group and of all groups above it; none is listed as None is given."""
    if group is None:
        return
    for folder in (group.path, *group.path.parents):
        for name in (group.file("limit").name, "memory.high"):
            size = read_number(folder / name)  # "max": no limit
            if size is not None:
                yield GroupLimit(size_bytes=size, group=replace(group, path=folder), file=name)


def lowest_group_limit(root: Path = Path("/")) -> GroupLimit | None:
    """Return the limit that this process meets first; None where none is below the memory.

    Args:
        root: The folder that stands for the root of the file system.
    """
    group = own_group(root / "proc", root / "sys/fs/cgroup")
    lowest = min(group_limits(group), key=lambda limit: limit.size_bytes, default=None)
    total = parse_sizes(read_text(root / "proc/meminfo") or "").get("MemTotal")
    # Version 1 shows more than any machine has where there is no limit.
    return None if lowest is None or lowest.size_bytes >= (total or 1 << 60) else lowest
