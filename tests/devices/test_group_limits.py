"""Control groups of version 2 as systemd, containers and namespaces lay them out.

Each tree has the files that the kernel's documentation names for it (Documentation/admin-guide/
cgroup-v2.rst): a group has memory files where its parent's cgroup.subtree_control lists memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.fit import target
from devices import cgroup
from devices.doctor import diagnose
from devices.files import exists
from devices.group_limits import lowest_group_limit

MIB = 1 << 20
MEMINFO = "MemTotal: 8000000 kB\nMemAvailable: 7000000 kB\n"
USER = "user.slice/user-1000.slice"
SCOPE = f"{USER}/user@1000.service/app.slice/run-r1.scope"


def tree(root: Path, own: str, files: dict[str, str], top: str = "cpuset cpu io memory") -> Path:
    """Write a machine whose process is in the group `own`."""
    mount = "sys/fs/cgroup"
    known = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": f"0::{own}\n",
        f"{mount}/cgroup.controllers": f"{top}\n",
        f"{mount}/cgroup.procs": "1\n",
    }
    for name, text in (known | {f"{mount}/{name}": t for name, t in files.items()}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


LIMITS: dict[str, tuple[str, dict[str, str], int | None]] = {
    "a scope's own": (f"/{SCOPE}", {f"{SCOPE}/memory.max": f"{512 * MIB}\n"}, 512),
    "no limit anywhere": (
        f"/{SCOPE}",
        {f"{SCOPE}/memory.max": "max\n", "user.slice/memory.max": "max\n"},
        None,
    ),
    "a slice's above": (
        f"/{SCOPE}",
        {f"{SCOPE}/memory.max": "max\n", f"{USER}/memory.max": f"{1024 * MIB}\n"},
        1024,
    ),
    "the lowest of two": (
        f"/{SCOPE}",
        {f"{SCOPE}/memory.max": f"{700 * MIB}\n", "user.slice/memory.max": f"{600 * MIB}\n"},
        600,
    ),
    "where the kernel only slows down": (
        f"/{SCOPE}",
        {f"{SCOPE}/memory.max": f"{700 * MIB}\n", f"{SCOPE}/memory.high": f"{300 * MIB}\n"},
        300,
    ),
    "more than the machine has": ("/a", {"a/memory.max": f"{1 << 40}\n"}, None),
    "a container in a namespace of its own": ("/", {"memory.max": f"{512 * MIB}\n"}, 512),
    "a container that sees the host's name": ("/docker/1f", {"memory.max": f"{512 * MIB}\n"}, 512),
    "a process from outside of the namespace": ("/../b", {"memory.max": f"{512 * MIB}\n"}, 512),
    "a session without the controller": (f"/{USER}", {f"{USER}/cgroup.procs": "7\n"}, None),
}


@pytest.mark.parametrize("name", LIMITS)
def test_the_lowest_limit_from_the_group_upwards_counts(tmp_path: Path, name: str) -> None:
    own, files, mib = LIMITS[name]
    found = lowest_group_limit(tree(tmp_path, own, files))
    assert (found and found.size_bytes // MIB) == mib


@pytest.mark.parametrize("name", [name for name, row in LIMITS.items() if row[2]])
def test_the_doctor_names_a_session_that_is_limited(tmp_path: Path, name: str) -> None:
    own, files, mib = LIMITS[name]
    found = {f.check: f for f in diagnose(tree(tmp_path, own, files)).findings}
    finding = found["memory limit of this session"]
    assert finding.state == "advice"
    assert finding.found.startswith(f"{mib} MiB by control group")
    assert "MemoryMax=" in str(finding.remedy)


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ({f"{SCOPE}/cgroup.controllers": "cpu memory pids\n"}, "ok"),
        ({f"{SCOPE}/cgroup.controllers": "cpu pids\n"}, "advice"),
    ],
)
def test_the_doctor_sees_a_controller_that_is_not_handed_on(
    tmp_path: Path, files: dict[str, str], state: str
) -> None:
    found = {f.check: f for f in diagnose(tree(tmp_path, f"/{SCOPE}", files)).findings}
    finding = found["memory controller of this session"]
    assert finding.state == state
    assert state == "ok" or "cgroup.subtree_control" in str(finding.remedy)


def test_a_machine_without_the_controller_is_advised_on_it_only_once(tmp_path: Path) -> None:
    root = tree(tmp_path, f"/{SCOPE}", {}, top="cpuset cpu io pids")
    checks = {f.check: f.state for f in diagnose(root).findings}
    assert checks["memory control group"] == "advice"
    assert "memory controller of this session" not in checks


@pytest.mark.parametrize(
    ("stat", "in_use"),
    [
        ("anon 1\nfile 9\ninactive_file 209715200\n", 100),
        ("inactive_file 1\ntotal_inactive_file 209715200\n", 100),  # version 1, groups below too
        ("", 300),
        ("inactive_file 999999999999\n", 0),
    ],
)
def test_files_that_can_be_dropped_are_not_in_use(
    tmp_path: Path, stat: str, in_use: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a container that read 200 MiB of files, THEN `fit` may use that memory."""
    files = {"memory.max": f"{512 * MIB}\n", "memory.current": f"{300 * MIB}\n"}
    limit = lowest_group_limit(tree(tmp_path, "/", files | {"memory.stat": stat}))
    assert limit is not None
    assert limit.in_use_bytes() == in_use * MIB

    monkeypatch.setattr(target, "lowest_group_limit", lambda: limit)
    machine = target.this_machine()
    assert (machine.memory_bytes, machine.reserve_bytes) == (512 * MIB, in_use * MIB)
    assert target.this_machine(reserve_bytes=112 * MIB).limit_bytes == 400 * MIB


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make and remove groups as the kernel does; "root-owned" marks what a user may not change."""
    mkdir = Path.mkdir

    def make(self: Path, *args: object, **named: object) -> None:
        if exists(self.parent / "root-owned"):
            raise PermissionError(self)
        mkdir(self)
        (self / "cgroup.procs").write_text("")
        handed_on = self.parent / "cgroup.subtree_control"
        if handed_on.exists() and "memory" in handed_on.read_text().split():
            (self / "memory.max").write_text("max\n")

    def remove(self: Path) -> None:
        shutil.rmtree(self)

    def start(own: str, files: dict[str, str]) -> Path:
        tree(tmp_path, own, files)
        monkeypatch.setattr(Path, "mkdir", make)
        monkeypatch.setattr(Path, "rmdir", remove)
        group = cgroup.own_group(tmp_path / "proc", tmp_path / "sys/fs/cgroup")
        monkeypatch.setattr(cgroup, "own_group", lambda: group)
        return tmp_path / "sys/fs/cgroup"

    return start


MADE: dict[str, tuple[str, dict[str, str], str | None]] = {
    "a scope of the user's manager": (
        f"/{SCOPE}",
        {
            f"{SCOPE}/cgroup.procs": "7\n",
            f"{USER}/user@1000.service/app.slice/cgroup.subtree_control": "memory pids\n",
            f"{USER}/user@1000.service/app.slice/cgroup.procs": "",
        },
        f"{USER}/user@1000.service/app.slice",
    ),
    "memory handed on one level higher only": (
        f"/{SCOPE}",
        {
            f"{SCOPE}/cgroup.procs": "7\n",
            f"{USER}/user@1000.service/app.slice/cgroup.subtree_control": "pids\n",
            f"{USER}/user@1000.service/app.slice/cgroup.procs": "",
            f"{USER}/user@1000.service/cgroup.subtree_control": "memory pids\n",
            f"{USER}/user@1000.service/cgroup.procs": "",
        },
        f"{USER}/user@1000.service",
    ),
    "an ssh session, all of it root's": (
        f"/{USER}/session-3.scope",
        {
            f"{USER}/session-3.scope/cgroup.procs": "7\n",
            f"{USER}/session-3.scope/root-owned": "",
            f"{USER}/root-owned": "",
            f"{USER}/cgroup.procs": "",
            "user.slice/root-owned": "",
            "user.slice/cgroup.procs": "",
            "root-owned": "",
        },
        None,
    ),
    "a container whose root holds processes": (
        "/",
        {"memory.max": "max\n", "cgroup.subtree_control": ""},
        None,
    ),
    "root on a machine that hands memory on": (
        "/",
        {"cgroup.subtree_control": "cpu memory\n"},
        "",
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_a_limit_is_set_in_the_nearest_group_that_hands_memory_on(
    boot: Callable[..., Path], name: str
) -> None:
    own, files, parent = MADE[name]
    mount = boot(own, files)

    made = cgroup.make_group("devices-1")

    assert (made and made.path) == (None if parent is None else mount / parent / "devices-1")
    assert parent is not None or not list(mount.rglob("devices-1"))
