"""Who runs the cells: this machine's processes, or a Ray cluster where one machine is outgrown.

An engine takes tasks and gives back results in the order in which they end.  Each task runs in a
fresh process with one thread, here or on a node, so that both engines give the same numbers.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Protocol

import devices
from bench.sweeps.cell import Cell, CellResult, CellStore
from bench.sweeps.task import Task, TaskContext, execute

ENGINES = ("local", "ray")


class Engine(Protocol):
    """Runs tasks side by side."""

    @property
    def slots(self) -> int:
        """Tasks that it runs at a time."""

    def start(self, task: Task) -> None:
        """Begin a task; no more than ``slots`` at a time."""

    def next_ended(self) -> list[CellResult]:
        """Wait for the task that ends first; never raises for what the task did."""

    def close(self) -> None:
        """Let go of what it holds; a task that still runs is given up."""


def open_engine(name: str, *, workers: int | None, address: str | None, device: str) -> Engine:
    """Open an engine by name.

    Args:
        name: one of :data:`ENGINES`.
        workers: tasks at a time; None for one a core (one on a GPU), or all that a cluster holds.
        address: of a Ray cluster, "auto" for the one of this machine.
        device: where cells train, "cpu" or "cuda".

    Raises:
        ValueError: an unknown name, or an option that it does not take.
        ImportError: ray is not installed; the message names the extra.
        ConnectionError: no cluster answers at the address.
    """
    check_engine(name, address)
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be >= 1, got {workers}")
    if name == "ray":
        from bench.sweeps.ray_engine import RayEngine

        return RayEngine(address, workers=workers, device=device)
    return LocalEngine(workers or (1 if device == "cuda" else os.cpu_count() or 1))


def check_engine(name: str, address: str | None) -> None:
    """Refuse an unknown engine, and an address where there is no cluster.

    Raises:
        ValueError: one of them.
    """
    if name not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {name!r}")
    if address is not None and name != "ray":
        raise ValueError("--address is a Ray cluster's: add --engine ray")


def run_tasks(
    engine: Engine, tasks: Sequence[Task], stop: Callable[[], bool] = lambda: False
) -> Iterator[CellResult]:
    """Run tasks, in order as far as the engine's slots allow; give each cell's result as it ends.

    Args:
        engine: stays open.
        tasks: what to run.
        stop: asked before each start; once it is true no task is started any more.
    """
    waiting, running = deque(tasks), 0
    while waiting or running:
        while waiting and running < engine.slots and not stop():
            engine.start(waiting.popleft())
            running += 1
        if not running:
            return
        yield from engine.next_ended()
        running -= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRunner:
    """Where cells are run and their results kept; a finished cell's checkpoint is deleted."""

    engine: Engine
    store: CellStore
    around: TaskContext
    stop: Callable[[], bool]  # true: no further task is begun

    def run(self, shares: Sequence[Sequence[Cell]]) -> Iterator[CellResult]:
        """Run cells, a process for each share of them; keep each result and give it."""
        tasks = [Task(cells=tuple(share), surroundings=self.around) for share in shares]
        for result in run_tasks(self.engine, tasks, self.stop):
            self.store.write(result)
            if result.status == "ok" and self.around.checkpoints is not None:
                rmtree(Path(self.around.checkpoints) / result.key, ignore_errors=True)
            yield result


class LocalEngine:
    """Processes of this machine, each watched by a thread."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._pool = devices.IsolatedPool(slots)
        self._running: set[Future[list[CellResult]]] = set()

    @property
    def slots(self) -> int:
        """Tasks that it runs at a time."""
        return self._slots

    def start(self, task: Task) -> None:
        """Begin a task."""
        self._running.add(self._pool.submit(execute, task))

    def next_ended(self) -> list[CellResult]:
        """Wait for the task that ends first."""
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        first = done.pop()
        self._running.remove(first)
        return first.result()

    def close(self) -> None:
        """End the tasks that still run, which is after Ctrl-C or an error alone."""
        self._pool.close()
