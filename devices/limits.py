"""A memory limit for one child process, enforced by the kernel: control group, else RLIMIT_DATA.

| method | limits | on excess |
|---|---|---|
| cgroup v1, v2 | pages in use, swap included, page cache that the child read first too | SIGKILL |
| RLIMIT_DATA (Linux, no privilege) | private writable mappings, touched or not | allocation fails |

RLIMIT_DATA counts thread stacks and reserved heap that hold nothing, and does not count library
code or shared memory. RLIMIT_AS is no choice, since importing torch alone maps many GiB, and
RLIMIT_RSS has no effect on Linux.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Sequence
from typing import Protocol

from devices import cgroup
from devices.reading import Reading, missing

# The shell joins or limits itself and then becomes the child: no page is charged elsewhere.
_JOIN = 'echo $$ > "$0" && exec "$@"'
_ULIMIT = 'ulimit -d "$0" && exec "$@"'


class Limit(Protocol):
    """Enforce a memory limit on one child."""

    method: str

    def wrap(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs `command` under the limit."""

    def exceeded(self) -> bool:
        """Tell whether the kernel killed the child for exceeding the limit."""

    def peak(self) -> Reading:
        """Return the largest memory that the limit's own counter saw, in bytes."""

    def close(self) -> None:
        """Kill whatever still runs under the limit and remove the limit."""


class CgroupLimit:
    """Limit by a control group made for the child."""

    def __init__(self, group: cgroup.Group, limit_bytes: int) -> None:
        """Take over `group` and set its limit."""
        self.method = group.version
        self._group = group
        group.set_limit(limit_bytes)

    def wrap(self, command: Sequence[str]) -> list[str]:
        """Return the command that joins the group, then runs `command`."""
        return ["/bin/sh", "-c", _JOIN, str(self._group.path / "cgroup.procs"), *command]

    def exceeded(self) -> bool:
        """Tell whether the kernel killed a process of the group."""
        return self._group.kills() > 0

    def peak(self) -> Reading:
        """Return the group's peak."""
        method = f"{self.method} peak"
        try:
            return Reading(value=self._group.peak_bytes(), unit="byte", method=method)
        except FileNotFoundError:
            return missing("byte", "memory.peak needs Linux 5.19", method=method)

    def close(self) -> None:
        """Remove the group."""
        self._group.remove()


class DataLimit:
    """Limit by RLIMIT_DATA: allocations fail in the child, nobody is killed."""

    method = "RLIMIT_DATA"

    def __init__(self, limit_bytes: int) -> None:
        """Keep the limit for wrap(): the shell counts it in KiB."""
        self._kib = limit_bytes // 1024

    def wrap(self, command: Sequence[str]) -> list[str]:
        """Return the command that lowers the limit, then runs `command`."""
        return ["/bin/sh", "-c", _ULIMIT, str(self._kib), *command]

    def exceeded(self) -> bool:
        """Return False: this limit fails allocations and kills nobody."""
        return False

    def peak(self) -> Reading:
        """Return no reading: the kernel keeps no peak of what RLIMIT_DATA counts."""
        return missing("byte", "RLIMIT_DATA has no counter", method=self.method)

    def close(self) -> None:
        """Do nothing: the limit ends with its process."""


def open_limit(limit_bytes: int, *, method: str | None = None) -> Limit:
    """Open the best memory limit that this process may set on a child.

    Args:
        limit_bytes: The limit, > 0.
        method: "cgroup" or "RLIMIT_DATA" to insist on one; by default the first that works.

    Returns:
        A limit; close() it when the child has ended.

    Raises:
        ValueError: limit_bytes or method is out of range.
        OSError: No such limit can be enforced here.
    """
    if limit_bytes <= 0:
        raise ValueError(f"limit_bytes must be > 0, got {limit_bytes}")
    if method not in (None, "cgroup", "RLIMIT_DATA"):
        raise ValueError(f'method must be "cgroup", "RLIMIT_DATA" or None, got {method!r}')
    group = None if method == "RLIMIT_DATA" else _joinable_group()
    if group is not None:
        return CgroupLimit(group, limit_bytes)
    if method == "cgroup":
        raise OSError("no memory control group may be made here; run as root or let method be None")
    if not sys.platform.startswith("linux"):
        raise OSError(f"no memory limit can be enforced on {sys.platform}; omit limit_bytes")
    return DataLimit(limit_bytes)


def _joinable_group() -> cgroup.Group | None:
    group = cgroup.make_group(f"devices-{secrets.token_hex(8)}")
    if group is None:
        return None
    # Making a group may be allowed where moving a process into it is not, so one tries.
    trial = ["/bin/sh", "-c", _JOIN, str(group.path / "cgroup.procs"), "true"]
    if subprocess.run(trial, stderr=subprocess.DEVNULL, check=False).returncode == 0:
        return group
    group.remove()
    return None
