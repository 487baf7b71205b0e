"""Control groups for memory, versions 1 and 2, under one face.

A group does not charge file pages that another group read first: libraries that are already in
the page cache count for nobody else. A limit by group is thus a little more generous than a
machine of that size.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from devices.files import exists, parse_number, read_number, read_text

V1, V2 = "cgroup v1", "cgroup v2"
# Name of the file that holds each quantity, by version.
_FILES = {
    V1: {
        "current": "memory.usage_in_bytes",
        "peak": "memory.max_usage_in_bytes",
        "limit": "memory.limit_in_bytes",
        "swap": "memory.memsw.limit_in_bytes",
        "kills": "memory.oom_control",
        "refusals": "memory.failcnt",
    },
    V2: {
        "current": "memory.current",
        "peak": "memory.peak",
        "limit": "memory.max",
        "swap": "memory.swap.max",
        "kills": "memory.events",
        "refusals": "memory.events",
    },
}
_REMOVE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Name one memory control group.

    Args:
        path: Its folder in the cgroup file system.
        version: "cgroup v1" or "cgroup v2".
    """

    path: Path
    version: str

    def file(self, quantity: str) -> Path:
        """Return the file of "current", "peak", "limit", "swap", "kills" or "refusals"."""
        return self.path / _FILES[self.version][quantity]

    def limit_bytes(self) -> int | None:
        """Return the group's limit, None if it has none or the kernel does not report it."""
        return read_number(self.file("limit"))

    def current_bytes(self) -> int | None:
        """Return what the group is charged with now, None where the kernel does not report it."""
        return read_number(self.file("current"))

    def peak_bytes(self) -> int | None:
        """Return the largest charge since the group began or reset_peak(), None if unknown."""
        return read_number(self.file("peak"))

    def reset_peak(self) -> TextIO:
        """Reset the peak to the present use; return the open file that reports the new one.

        Version 2 resets the peak for one open file only, so this file must be read.

        Raises:
            OSError: The kernel refuses (version 2 before Linux 6.12).
        """
        mark = self.file("peak").open("r+")
        try:
            mark.write("0")
            mark.flush()
        except OSError:
            mark.close()
            raise
        return mark

    def kills(self) -> int | None:
        """Return how many processes ran out of memory and were killed; None before Linux 4.13."""
        return _row(read_text(self.file("kills")), "oom_kill")

    def refusals(self) -> int | None:
        """Return how often the group ran into its limit, None if the kernel does not report it."""
        text = read_text(self.file("refusals"))
        return parse_number(text or "") if self.version == V1 else _row(text, "oom")

    def pids(self) -> list[int]:
        """Return the processes in the group, none where they cannot be read."""
        numbers = map(parse_number, (read_text(self.path / "cgroup.procs") or "").split())
        return [number for number in numbers if number is not None]

    def set_limit(self, limit_bytes: int) -> None:
        """Limit the group's memory, swap included, to `limit_bytes`."""
        self.file("limit").write_text(str(limit_bytes))
        swap_bytes = 0 if self.version == V2 else limit_bytes
        # The file is absent where the kernel does not account for swap.
        if exists(self.file("swap")):
            self.file("swap").write_text(str(swap_bytes))

    def remove(self) -> None:
        """Kill what is left in the group and remove it.

        Raises:
            OSError: The group is still busy after 5 s.
        """
        deadline = time.monotonic() + _REMOVE_TIMEOUT_S
        while True:
            for pid in self.pids():
                _kill(pid)
            try:
                return self.path.rmdir()
            except FileNotFoundError:  # somebody else removed it
                return None
            except OSError:  # busy until the killed processes are reaped
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


def own_group(proc: Path = Path("/proc"), mounts: Path = Path("/sys/fs/cgroup")) -> Group | None:
    """Return the memory group of this process, None where there is none to be seen.

    Args:
        proc: Where the process file system is mounted.
        mounts: Where the control groups are mounted.
    """
    lines = (read_text(proc / "self/cgroup") or "").splitlines()
    rows = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    for _, controllers, name in rows:
        if "memory" in controllers.split(","):
            return _existing(mounts / "memory", name, V1)
    for number, _, name in rows:
        if number == "0" and exists(mounts / "cgroup.controllers"):
            return _existing(mounts, name, V2)
    return None


def own_exclusive_group() -> Group | None:
    """Return this process's group if nobody else is in it and its peak can be reset."""
    group = own_group()
    try:
        if group is None or group.pids() != [os.getpid()]:
            return None
        group.reset_peak().close()
    except OSError:
        return None
    return group


def make_group(name: str) -> Group | None:
    """Make a memory group below this process's own, or below the nearest ancestor that allows it.

    Args:
        name: The new group's name, unused so far.

    Returns:
        The group, or None where this process may not make one with a memory limit.
    """
    own = own_group()
    if own is None:
        return None
    # With version 2 a group that holds processes cannot hand the memory controller to a child,
    # so its parent is tried next, and so on up to the mount.
    for parent in (own.path, *own.path.parents):
        if not exists(parent / "cgroup.procs"):
            return None
        group = Group(path=parent / name, version=own.version)
        if _make(group):
            return group
    return None


def _make(group: Group) -> bool:
    try:
        group.path.mkdir()
    except OSError:
        return False
    if os.access(group.file("limit"), os.W_OK):
        return True
    group.path.rmdir()
    return False


def _existing(mount: Path, name: str, version: str) -> Group:
    # From inside of a cgroup namespace, a group outside of it has a name such as /../user.slice.
    path = mount if ".." in Path(name).parts else mount / name.lstrip("/")
    # Inside a container the name may be the host's, while the mount shows the container's group.
    return Group(path=path if exists(path) else mount, version=version)


def _row(text: str | None, name: str) -> int | None:
    """Return the number of the row that begins with a name, None where there is no such row."""
    rows = (line.split() for line in (text or "").splitlines())
    return next((parse_number(row[1]) for row in rows if len(row) == 2 and row[0] == name), None)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # ended meanwhile
        os.kill(pid, signal.SIGKILL)
