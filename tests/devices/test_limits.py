"""Memory limits on a child: a hungry one is stopped, a modest one is not, nothing is left over."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devices import cgroup, run_isolated, why_no_limit
from devices.child_exit import ChildExit, judge
from devices.limits import open_limit
from devices.session_limits import lower_limit

pytestmark = pytest.mark.process

MIB = 1 << 20
LIMIT_BYTES = 200 * MIB


def group_is_allowed() -> bool:
    try:
        open_limit(LIMIT_BYTES, method="cgroup").close()
    except OSError:
        return False
    return True


METHODS = [
    pytest.param(
        "cgroup",
        marks=pytest.mark.skipif(
            not group_is_allowed(), reason="this process may not make a memory control group"
        ),
    ),
    pytest.param(
        "RLIMIT_DATA",
        marks=pytest.mark.skipif(
            not sys.platform.startswith("linux"), reason="RLIMIT_DATA limits mappings on Linux only"
        ),
    ),
]


@pytest.mark.parametrize("method", METHODS)
def test_a_hungry_child_does_not_fit_and_its_last_phase_is_known(method: str) -> None:
    result = run_isolated(
        "devices_children:eat", 600 * MIB, limit_bytes=LIMIT_BYTES, limit_method=method
    )

    assert result.status == "does not fit", result.error
    assert result.phase == "first half"
    assert result.limit_bytes == LIMIT_BYTES
    assert result.limit_method is not None
    assert result.limit_method.startswith(method)


@pytest.mark.parametrize("method", METHODS)
def test_a_modest_child_runs_to_its_end_under_the_same_limit(method: str) -> None:
    result = run_isolated(
        "devices_children:eat", 100 * MIB, limit_bytes=LIMIT_BYTES, limit_method=method
    )

    assert (result.status, result.value, result.phase) == ("ok", 13, "second half")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("allocator", ["torch", "numpy"])
def test_a_failed_allocation_of_a_library_does_not_fit_either(method: str, allocator: str) -> None:
    result = run_isolated(
        "devices_children:eat", 1500 * MIB, allocator, limit_bytes=700 * MIB, limit_method=method
    )

    assert result.status == "does not fit", result.error
    assert result.phase == "first half"


def test_the_group_tells_the_peak_and_is_removed() -> None:
    if not group_is_allowed():
        pytest.skip("this process may not make a memory control group")

    result = run_isolated("devices_children:eat_in_group", 104 * MIB, limit_bytes=LIMIT_BYTES)

    peak = result.limit_peak_bytes.value
    assert peak is not None
    assert 104 * MIB < peak < LIMIT_BYTES
    assert not Path(result.value).exists()


def test_a_child_without_a_limit_has_no_limit_in_its_record() -> None:
    result = run_isolated("math:sqrt", 4)

    assert (result.limit_bytes, result.limit_method) == (None, None)
    assert result.limit_peak_bytes.value is None


@pytest.mark.parametrize("limit_bytes", [0, -1])
def test_a_limit_of_nothing_is_refused(limit_bytes: int) -> None:
    with pytest.raises(ValueError, match=f"limit_bytes must be > 0, got {limit_bytes}"):
        run_isolated("math:sqrt", 4, limit_bytes=limit_bytes)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match=r"method must be .* got 'RLIMIT_AS'"):
        run_isolated("math:sqrt", 4, limit_bytes=MIB, limit_method="RLIMIT_AS")


def test_without_a_group_the_limit_falls_back_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("RLIMIT_DATA limits mappings on Linux only")
    monkeypatch.setattr(cgroup, "make_group", lambda name: None)

    assert open_limit(LIMIT_BYTES).method == "RLIMIT_DATA"
    with pytest.raises(OSError, match="no memory control group may be made here"):
        open_limit(LIMIT_BYTES, method="cgroup")


def make_v2_group(mount: Path, name: str, files: dict[str, str]) -> cgroup.Group:
    group = mount / name
    group.mkdir(parents=True)
    (mount / "cgroup.controllers").write_text("memory\n")
    for file, text in {"cgroup.procs": "", **files}.items():
        (group / file).write_text(text)
    return cgroup.Group(path=group, version="cgroup v2")


def test_version_2_files_are_read_and_written(tmp_path: Path) -> None:
    events = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"
    files = {"memory.max": "max", "memory.swap.max": "max", "memory.events": events}
    files |= {"memory.current": "4096\n", "memory.peak": "8192\n"}
    group = make_v2_group(tmp_path, "user.slice/app", files)

    group.set_limit(LIMIT_BYTES)

    assert (group.path / "memory.max").read_text() == str(LIMIT_BYTES)
    assert (group.path / "memory.swap.max").read_text() == "0"
    assert (group.kills(), group.current_bytes(), group.peak_bytes()) == (2, 4096, 8192)


def test_this_process_is_found_in_either_version(tmp_path: Path) -> None:
    proc, mounts = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    group = make_v2_group(mounts, "user.slice/app", {})

    (proc / "self/cgroup").write_text("0::/user.slice/app\n")
    assert cgroup.own_group(proc, mounts) == group

    (mounts / "memory/job").mkdir(parents=True)
    (proc / "self/cgroup").write_text("9:name=systemd:/\n4:memory:/job\n0::/\n")
    assert cgroup.own_group(proc, mounts) == cgroup.Group(
        path=mounts / "memory/job", version="cgroup v1"
    )


def test_without_control_groups_there_is_none(tmp_path: Path) -> None:
    assert cgroup.own_group(tmp_path, tmp_path) is None


def ended(code: int, report: dict[str, object], tail: str = "") -> ChildExit:
    return ChildExit(code=code, timed_out=False, report=report, output_tail=tail, seconds=1.0)


def test_a_process_that_the_kernel_kills_under_a_limit_does_not_fit_else_it_was_killed() -> None:
    assert judge(ended(-9, {}), True, None)[0] == "does not fit"
    assert judge(ended(-9, {}), False, None)[0] == "killed"


def test_an_abort_of_the_c_runtime_for_want_of_memory_does_not_fit() -> None:
    tail = "terminate called after throwing an instance of 'std::bad_alloc'\n"

    assert judge(ended(-6, {}, tail), False, None)[0] == "does not fit"
    assert judge(ended(-6, {}, "assertion failed\n"), False, None)[0] == "killed"


needs_data_limit = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="RLIMIT_DATA limits mappings on Linux only"
)


@needs_data_limit
@pytest.mark.parametrize("stack_mib", [1, 8, 64])
def test_a_verdict_does_not_depend_on_the_sessions_stack_limit(stack_mib: int) -> None:
    """Eight threads with stacks of 64 MiB alone count 512 MiB."""
    run = run_isolated("devices_children:run_under_stacks_of", stack_mib * MIB, LIMIT_BYTES).value

    assert run["status"] == "ok", run["error"]
    assert run["stack_limit_bytes"] == 2 * MIB
    assert 20 * MIB < run["value"] < 120 * MIB


def test_a_child_whose_stacks_do_not_count_keeps_the_sessions_stack_limit() -> None:
    assert run_isolated("math:sqrt", 4).stack_limit_bytes is None


@needs_data_limit
@pytest.mark.parametrize("name", ["RLIMIT_DATA", "RLIMIT_AS"])
def test_a_lower_limit_of_the_session_is_reported_before_a_trial_and_makes_no_verdict(
    name: str,
) -> None:
    session_bytes, limit_bytes = 1000 * MIB, 1200 * MIB
    tried = run_isolated(
        "devices_children:try_under_session_limit", name, session_bytes, limit_bytes
    )

    assert tried.status == "ok", tried.error
    ulimit = {"RLIMIT_DATA": "ulimit -d", "RLIMIT_AS": "ulimit -v"}[name]
    words = f"this session is limited to {session_bytes} bytes by {ulimit}, below {limit_bytes}"
    assert words in tried.value["reason"]
    assert words in tried.value.get("refused", tried.value.get("error"))
    assert tried.value.get("status") != "does not fit"


def test_a_lower_limit_of_a_group_above_is_named(tmp_path: Path) -> None:
    group = make_v2_group(tmp_path, "user.slice/app", {"memory.max": "max"})
    (tmp_path / "user.slice/memory.max").write_text(f"{100 * MIB}\n")

    assert lower_limit(100 * MIB, group, []) is None
    reason = lower_limit(200 * MIB, group, [])
    assert reason is not None
    assert f"{100 * MIB} bytes by control group {tmp_path / 'user.slice'}" in reason


def test_a_group_that_slows_down_below_the_limit_is_named(tmp_path: Path) -> None:
    group = make_v2_group(tmp_path, "user.slice/app", {"memory.max": "max"})
    (tmp_path / "user.slice/memory.high").write_text(f"{100 * MIB}\n")

    assert lower_limit(100 * MIB, group, []) is None
    assert "(memory.high)" in str(lower_limit(200 * MIB, group, []))


def test_a_kill_by_the_sessions_own_group_names_that_group(tmp_path: Path) -> None:
    """RLIMIT_DATA limits the child, and a control group around the session kills it first."""
    group = Path(f"/sys/fs/cgroup/memory/zobench-test-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(100 * MIB))
    except OSError as error:
        pytest.skip(f"no control group of version 1 can be made: {error}")
    code = (
        "import os, devices; open(f'{group}/cgroup.procs', 'w').write(str(os.getpid())); "
        "r = devices.run_isolated('devices_children:eat', 150 << 20, limit_bytes=400 << 20, "
        "limit_method='RLIMIT_DATA'); print(r.status, r.error)"
    ).replace("{group}", str(group))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        ended = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
    finally:
        group.rmdir()

    assert ended.stdout.startswith("error memory ran out, but this session is limited")
    assert str(group) in ended.stdout


def test_a_session_without_lower_limits_may_try() -> None:
    assert lower_limit(MIB, None, ["RLIMIT_AS", "RLIMIT_DATA"]) is None
    with pytest.raises(ValueError, match="limit_bytes must be > 0"):
        why_no_limit(0)
