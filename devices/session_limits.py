"""Limits on memory that this session already has, and that a child inherits.

Where one is below the limit that a trial sets, the trial answers for the wrong limit: what fails
there might fit on the device that was asked about.
"""

from __future__ import annotations

from collections.abc import Sequence

from devices.cgroup import Group
from devices.group_limits import group_limits

_ULIMITS = {"RLIMIT_AS": "ulimit -v", "RLIMIT_DATA": "ulimit -d"}


def lower_limit(limit_bytes: int, group: Group | None, ulimits: Sequence[str]) -> str | None:
    """Name the lowest limit of this session that is below `limit_bytes`, None where none is.

    Args:
        limit_bytes: The limit that a trial sets.
        group: The lowest memory group whose limit holds for the child in addition to its own.
        ulimits: The resource limits that hold for the child: "RLIMIT_AS", "RLIMIT_DATA".
    """
    groups = ((limit.size_bytes, limit.name) for limit in group_limits(group))
    limits = [*groups, *((_soft(name), _ULIMITS[name]) for name in ulimits)]
    size, name = min(limits, default=(limit_bytes, ""))
    if size >= limit_bytes:
        return None
    return f"this session is limited to {size} bytes by {name}, below {limit_bytes}: raise that"


def _soft(name: str) -> int:
    import resource  # POSIX only

    size = resource.getrlimit(getattr(resource, name))[0]
    return 1 << 63 if size == resource.RLIM_INFINITY else size


def allowed_stack(wanted_bytes: int) -> int:
    """Return the stack limit nearest to `wanted_bytes` that this session may set."""
    import resource  # POSIX only

    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    return wanted_bytes if hard == resource.RLIM_INFINITY else min(wanted_bytes, hard)
