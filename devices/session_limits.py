"""Limits on memory that this session already has, and that a child inherits.

Where one is below the limit that a trial sets, the trial answers for the wrong limit: what fails
there might fit on the device that was asked about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from devices.cgroup import Group
from devices.files import read_number

_ULIMITS = {"RLIMIT_AS": "ulimit -v", "RLIMIT_DATA": "ulimit -d"}


def lower_limit(limit_bytes: int, group: Group | None, ulimits: Sequence[str]) -> str | None:
    """Name the lowest limit of this session that is below `limit_bytes`, None where none is.

    Args:
        limit_bytes: The limit that a trial sets.
        group: The lowest memory group whose limit holds for the child in addition to its own.
        ulimits: The resource limits that hold for the child: "RLIMIT_AS", "RLIMIT_DATA".
    """
    limits = [*_of_groups(group), *((_soft(name), _ULIMITS[name]) for name in ulimits)]
    size, name = min(limits, default=(limit_bytes, ""))
    if size >= limit_bytes:
        return None
    return f"this session is limited to {size} bytes by {name}, below {limit_bytes}: raise that"


def _of_groups(group: Group | None) -> Iterator[tuple[int, str]]:
    if group is None:
        return
    # Above memory.high the kernel does not kill: it slows a process down to a standstill.
    names = (group.file("limit").name, "memory.high")
    for folder in (group.path, *group.path.parents):
        for name in names:
            size = read_number(folder / name)  # "max", or more than any machine has: no limit
            if size is not None:
                yield size, f"control group {folder} ({name})"


def _soft(name: str) -> int:
    import resource  # POSIX only

    size = resource.getrlimit(getattr(resource, name))[0]
    return 1 << 63 if size == resource.RLIM_INFINITY else size


def allowed_stack(wanted_bytes: int) -> int:
    """Return the stack limit nearest to `wanted_bytes` that this session may set."""
    import resource  # POSIX only

    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    return wanted_bytes if hard == resource.RLIM_INFINITY else min(wanted_bytes, hard)
