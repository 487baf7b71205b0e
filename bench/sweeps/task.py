"""One task of a sweep: cells that one process runs, and how it runs them on any machine."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import devices
from bench.records.record import source_commit
from bench.records.typed_json import from_json
from bench.sweeps.cell import UNFINISHED, Cell, CellResult, CellTraining
from bench.workloads.steps import ONE_THREAD


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext:
    """What cells need besides their configs."""

    data_dir: str | None = None  # folder of data sets that are files
    base: str | None = None  # file of the weights that a language model starts from
    verify: bool = True  # compare their checksums
    device: str = "cpu"  # or "cuda"
    checkpoints: str | None = None  # folder in which long runs are saved
    deadline: float | None = None  # seconds since the epoch: no cell starts, a long one is saved
    timeout_s: float | None = None  # for a task


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Cells that one process runs, one after the other; a table's tasks hold one each."""

    cells: tuple[Cell, ...]
    surroundings: TaskContext


def execute(task: Task) -> list[CellResult]:
    """Run a task in a fresh process of this machine with one thread."""
    around = task.surroundings
    run = devices.run_isolated(
        "bench.sweeps.worker:run_cells",
        [cell.config.to_json() for cell in task.cells],
        data_dir=around.data_dir,
        base=around.base,
        verify=around.verify,
        device=around.device,
        checkpoints=around.checkpoints,
        deadline=around.deadline,
        keys=[cell.key for cell in task.cells],
        timeout_s=around.timeout_s,
        env=ONE_THREAD,
    )
    if run.status != "ok":
        return failed(task, run.status, run.error or "no reason was given")
    trainings = from_json(tuple[CellTraining, ...], run.value)
    seconds = run.seconds / len(trainings)
    pairs = zip(task.cells, trainings, strict=False)  # the deadline may come before the last cells
    return [
        result_of(cell, around.device, training=found, seconds=seconds, **_status(cell, found))
        for cell, found in pairs
    ]


def _status(cell: Cell, training: CellTraining) -> dict[str, str]:
    if training.outcome != UNFINISHED:
        return {"status": "ok"}
    done = f"{training.rounds_done} of {cell.config.rounds} rounds are done"
    return {
        "status": UNFINISHED,
        "error": f"{done}; the same command with the same --out continues",
    }


def failed(task: Task, status: str, error: str) -> list[CellResult]:
    """Make the results of a task that gave none."""
    device = task.surroundings.device
    return [result_of(cell, device, status=status, error=error) for cell in task.cells]


def result_of(cell: Cell, device: str, **fields: Any) -> CellResult:
    """Make a cell's result, with what made it."""
    commit, dirty = source_commit()
    made_by = {
        "commit": commit,
        "dirty": dirty,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "host": platform.node(),
        "device": device,
    }
    return CellResult(key=cell.key, config=cell.config.to_json(), made_by=made_by, **fields)
