"""`run_isolated`: one clear result for whatever a child does, and no process left behind."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import WAIT_S, wait_until

from devices import run_isolated

pytestmark = pytest.mark.process

HEAVY = {"pytest", "_pytest", "matplotlib", "sklearn", "torch", "numpy", "scipy"}


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(pid: int) -> bool:
    return wait_until(lambda: not is_alive(pid))


def test_arguments_and_result_travel_as_json() -> None:
    result = run_isolated("devices_children:echo", 1, [2.5, None], name="ä", flag=True)

    assert result.status == "ok"
    assert result.value == [[1, [2.5, None]], {"name": "ä", "flag": True}]
    assert (result.error, result.exit_code, result.signal_name) == (None, 0, None)


def test_the_function_runs_in_another_process() -> None:
    pid, total = run_isolated("devices_children:pid_and_sum", [1, 2, 3]).value

    assert total == 6
    assert pid != os.getpid()


def test_a_function_object_is_found_by_its_module_and_name() -> None:
    import devices_children  # on sys.path by conftest.py

    assert run_isolated(devices_children.echo, 5).value == [[5], {}]


@pytest.mark.parametrize("fn", [lambda: 1, functools.wraps(lambda: 1)(lambda: 1)])
def test_a_function_without_an_importable_name_is_refused(fn: Any) -> None:
    with pytest.raises(ValueError, match="fn must be importable by name"):
        run_isolated(fn)


def test_an_argument_that_is_no_json_is_refused_before_anything_runs() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        run_isolated("devices_children:echo", object())


def test_nothing_heavy_is_in_a_measured_child() -> None:
    bare = run_isolated("devices_children:loaded_modules").value

    assert "devices.meter" in bare
    assert HEAVY.isdisjoint(module.split(".")[0] for module in bare)


def test_the_environment_is_this_one_with_additions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICES_TEST_OLD", "old")

    old = run_isolated("devices_children:environment_variable", "DEVICES_TEST_OLD")
    new = run_isolated(
        "devices_children:environment_variable", "DEVICES_TEST_NEW", env={"DEVICES_TEST_NEW": "x"}
    )

    assert (old.value, new.value) == ("old", "x")
    assert "DEVICES_TEST_NEW" not in os.environ


def test_an_exception_is_an_error_with_type_message_place_and_phase() -> None:
    result = run_isolated("devices_children:crash_by_exception")

    assert result.status == "error"
    assert result.error is not None
    assert result.error.startswith("RuntimeError: the loss is gone")
    assert "crash_by_exception" in result.error
    assert result.phase == "backward"
    assert result.value is None


def test_an_unknown_function_is_an_error_that_names_it() -> None:
    result = run_isolated("devices_children:no_such_function")

    assert result.status == "error"
    assert "no_such_function" in str(result.error)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGABRT"])
def test_a_child_that_a_signal_ends_was_killed(name: str) -> None:
    result = run_isolated("devices_children:crash_by_signal", int(signal.Signals[name]))

    assert (result.status, result.signal_name, result.phase) == ("killed", name, "forward")
    assert result.exit_code is None


def test_a_segmentation_fault_was_killed() -> None:
    result = run_isolated("devices_children:crash_by_segfault")

    assert (result.status, result.signal_name) == ("killed", "SIGSEGV")


def test_leaving_with_a_code_is_an_error_and_without_a_result_garbage() -> None:
    assert run_isolated("devices_children:leave_with", 3).status == "error"
    assert run_isolated("devices_children:leave_with", 3).exit_code == 3
    assert run_isolated("devices_children:leave_with", 0).status == "garbage"
    assert run_isolated("devices_children:leave_by_system_exit").status == "error"


def test_a_child_that_hangs_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a child that hangs with a child of its own when its time is up."""
    pid_file, wait = tmp_path / "pids", subprocess.Popen.wait

    def wait_for_pids(self: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if timeout is None:
            return wait(self)
        assert wait_until(lambda: pid_file.exists() and bool(pid_file.read_text()))
        raise subprocess.TimeoutExpired(self.args, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", wait_for_pids)
    result = run_isolated("devices_children:hang", str(pid_file), timeout_s=3.0)

    assert (result.status, result.phase, result.signal_name) == ("timeout", "hang", "SIGKILL")
    child, grandchild = map(int, pid_file.read_text().split())
    assert wait_until_gone(child)
    assert wait_until_gone(grandchild)


def test_a_grandchild_left_behind_is_killed() -> None:
    result = run_isolated("devices_children:leave_grandchild_behind")

    assert result.status == "ok"
    assert wait_until_gone(result.value)


def test_the_child_dies_with_its_parent(tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux kills a child when its parent dies")
    pid_file = tmp_path / "pids"

    env = {"TMPDIR": str(tmp_path)}  # the killed parent can't clear its folder away

    result = run_isolated(
        "devices_children:parent_that_dies", str(pid_file), timeout_s=WAIT_S, env=env
    )

    assert result.status == "ok", result.error
    child, grandchild = result.value
    os.kill(grandchild, signal.SIGKILL)  # only the direct child dies with its parent
    assert wait_until_gone(child)


def test_garbage_on_stdout_does_no_harm_and_its_end_is_kept() -> None:
    result = run_isolated("devices_children:print_garbage")

    assert (result.status, result.value) == ("ok", 7)
    assert "the end of stdout" in result.output_tail
    assert result.output_tail.endswith("the end of stderr\n")
    assert len(result.output_tail) <= 4096


@pytest.mark.parametrize("target", ["return_garbage", "spoil_the_report"])
def test_a_result_that_cannot_be_read_is_garbage(target: str) -> None:
    result = run_isolated(f"devices_children:{target}")

    assert result.status == "garbage"
    assert result.error
    assert result.value is None


def test_after_every_kind_of_failure_the_next_run_works_and_no_child_is_left() -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    for target in ("crash_by_exception", "crash_by_segfault", "return_garbage"):
        run_isolated(f"devices_children:{target}")

    assert run_isolated("math:sqrt", 9).value == 3.0
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


def test_runs_from_several_threads_do_not_mix() -> None:
    results: dict[int, float] = {}

    def work(number: int) -> None:
        results[number] = run_isolated("math:sqrt", number * number).value

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0}
