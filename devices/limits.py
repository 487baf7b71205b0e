"""A memory limit for one child process, enforced by the kernel: control group, else RLIMIT_DATA.

| method | limits | on excess |
|---|---|---|
| cgroup v1, v2 | pages in use, swap included, page cache that the child read first too | SIGKILL |
| RLIMIT_DATA (Linux, no privilege) | private writable mappings, touched or not | allocation fails |

RLIMIT_DATA counts thread stacks and reserved heap that hold nothing, and does not count library
code or shared memory. A stack counts with its whole limit (8 threads: 65 MiB at 8 MiB each, 513 at
64 MiB), so the child gets a stack limit of its own, and the verdict does not depend on `ulimit -s`.
RLIMIT_AS is no choice, since importing torch alone maps many GiB, and RLIMIT_RSS has no effect on
Linux.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from devices import cgroup
from devices.reading import Reading, missing
from devices.session_limits import allowed_stack, lower_limit

# The shell joins or limits itself and then becomes the child: no page is charged elsewhere.
_JOIN = 'echo $$ > "$0" && exec "$@"'
_ULIMIT = 'ulimit -S -s "$0" && ulimit -d "$1" && shift && exec "$@"'
# Of each thread: what glibc takes by itself where stacks are unlimited, and Python's on Windows.
_STACK_BYTES = 2 << 20


class Limit(Protocol):
    """Enforce a memory limit on one child."""

    method: str

    @property
    def stack_bytes(self) -> int | None:
        """The stack limit that the child gets; None where it inherits this process's."""

    def wrap(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs `command` under the limit."""

    def exceeded(self, *, was_killed: bool) -> bool:
        """Return whether the kernel killed the child for exceeding the limit.

        Args:
            was_killed: Whether SIGKILL ended the child.
        """

    def undercut(self) -> str | None:
        """Name a limit that this session already has and that is lower, None where none is."""

    def peak(self) -> Reading:
        """Return the largest memory that the limit's own counter saw, in bytes."""

    def close(self) -> None:
        """Kill whatever still runs under the limit and remove the limit."""


class CgroupLimit:
    """Limit by a control group made for the child."""

    stack_bytes = None  # a group counts only the pages of a stack that are in use

    def __init__(self, group: cgroup.Group, limit_bytes: int) -> None:
        """Take over `group` and set its limit."""
        self.method = group.version
        self._group, self._limit_bytes = group, limit_bytes
        group.set_limit(limit_bytes)

    def wrap(self, command: Sequence[str]) -> list[str]:
        """Return the command that joins the group, then runs `command`."""
        return ["/bin/sh", "-c", _JOIN, str(self._group.path / "cgroup.procs"), *command]

    def exceeded(self, *, was_killed: bool) -> bool:
        """Read the kernel's count of kills; before Linux 4.13, of refused pages."""
        kills = self._group.kills()
        if kills is not None:
            return kills > 0
        return was_killed and (self._group.refusals() or 0) > 0

    def undercut(self) -> str | None:
        """Name a lower ulimit, or a lower limit of a group above the child's."""
        above = replace(self._group, path=self._group.path.parent)
        return lower_limit(self._limit_bytes, above, ["RLIMIT_AS", "RLIMIT_DATA"])

    def peak(self) -> Reading:
        """Return the group's peak."""
        method, peak = f"{self.method} peak", self._group.peak_bytes()
        if peak is None:
            return missing("byte", "the kernel does not report it (v2: from 5.19)", method=method)
        return Reading(value=peak, unit="byte", method=method)

    def close(self) -> None:
        """Remove the group."""
        self._group.remove()


class DataLimit:
    """Limit by RLIMIT_DATA: allocations fail in the child, nobody is killed."""

    method = "RLIMIT_DATA"

    def __init__(self, limit_bytes: int) -> None:
        """Keep the limit for wrap(), and try it.

        Raises:
            OSError: This session may not set it.
        """
        self.stack_bytes = allowed_stack(_STACK_BYTES)
        self._limit_bytes = limit_bytes
        if _fails(self.wrap(["true"])):
            lower = lower_limit(limit_bytes, None, ["RLIMIT_DATA"])
            raise OSError(f"RLIMIT_DATA cannot be set to {limit_bytes} bytes here: {lower}")

    def wrap(self, command: Sequence[str]) -> list[str]:
        """Return the command that lowers the limits, then runs `command`."""
        kib = [str(size // 1024) for size in (self.stack_bytes, self._limit_bytes)]
        return ["/bin/sh", "-c", _ULIMIT, *kib, *command]

    def exceeded(self, *, was_killed: bool) -> bool:
        """Return False: this limit fails allocations and kills nobody."""
        return False

    def undercut(self) -> str | None:
        """Name a lower limit of the address space or of this process's group."""
        return lower_limit(self._limit_bytes, cgroup.own_group(), ["RLIMIT_AS"])

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
    if method != "RLIMIT_DATA" and (limit := _group_limit(limit_bytes)) is not None:
        return limit
    if method == "cgroup":
        raise OSError("no memory control group may be made here; run as root or let method be None")
    if not sys.platform.startswith("linux"):
        raise OSError(f"no memory limit can be enforced on {sys.platform}; omit limit_bytes")
    return DataLimit(limit_bytes)


def why_no_limit(limit_bytes: int) -> str | None:
    """Return why a run under a limit would not test that limit here; None if it would.

    Args:
        limit_bytes: The limit, > 0.

    Returns:
        The reason: no limit can be set, or this session already has a lower one.
    """
    try:
        limit = open_limit(limit_bytes)
    except OSError as error:
        return str(error)
    lower = limit.undercut()
    limit.close()
    return lower


def _group_limit(limit_bytes: int) -> CgroupLimit | None:
    """Make a group with the limit; None where this process may not, which is found by trying."""
    group = cgroup.make_group(f"devices-{secrets.token_hex(8)}")
    if group is None:
        return None
    try:
        limit = CgroupLimit(group, limit_bytes)
    except OSError:
        group.remove()
        return None
    if _fails(limit.wrap(["true"])):
        limit.close()
        return None
    return limit


def _fails(command: Sequence[str]) -> bool:
    done = subprocess.run(command, stderr=subprocess.DEVNULL, check=False)
    return done.returncode != 0
