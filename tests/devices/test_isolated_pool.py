"""Threads that wait for children: however their context ends, no child is left and none begins."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import psutil
import pytest
from devices_children import hang
from waiting import WAIT_S, wait_until

from devices import IsolatedPool, run_isolated

pytestmark = pytest.mark.process


def sleeper(folder: Path, name: str) -> None:
    """Wait for a child that never ends."""
    run_isolated(hang, str(folder / name))


def sleepers_within(folder: Path, name: str) -> None:
    """Wait for two of them side by side, as an engine does for its cells."""
    with IsolatedPool(2) as pool:
        list(pool.map(lambda i: sleeper(folder, f"{name}-{i}"), range(5)))


def wait_for_files(folder: Path, count: int) -> None:
    assert wait_until(lambda: sum(f.stat().st_size > 0 for f in folder.iterdir()) >= count)


def interrupted(
    work: Callable[[Path, str], None], folder: Path, running: int
) -> list[Future[None]]:
    """Press Ctrl-C once all threads have their children; return the futures of more work."""
    futures: list[Future[None]] = []
    try:
        with IsolatedPool(2) as pool:
            futures += [pool.submit(work, folder, str(i)) for i in range(6)]
            wait_for_files(folder, running)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        return futures


@pytest.mark.parametrize(("work", "running"), [(sleeper, 2), (sleepers_within, 4)])
def test_ctrl_c_ends_what_runs_and_begins_nothing(
    tmp_path: Path, work: Callable[[Path, str], None], running: int
) -> None:
    began = time.monotonic()
    futures = interrupted(work, tmp_path, running)
    assert time.monotonic() - began < 2 * WAIT_S  # they would have slept for ten minutes
    pids = [int(pid) for file in tmp_path.iterdir() for pid in file.read_text().split()]
    assert len(pids) == 2 * running
    assert not [pid for pid in pids if not is_gone(pid)]
    assert all(future.cancelled() or future.exception() for future in futures)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_an_end_within_leaves_the_others_alone(tmp_path: Path) -> None:
    def fail_within(_: int) -> None:
        with IsolatedPool(1) as pool:
            pool.submit(sleeper, tmp_path, "within")
            raise OSError("a full disk")

    with IsolatedPool(2) as pool:
        failing = pool.submit(fail_within, 0)
        other = pool.submit(run_isolated, "time:sleep", 1.0)
        with pytest.raises(OSError, match="full disk"):
            failing.result()
        assert other.result().status == "ok"
