"""Cells that train in a second, and stand-ins for what runs them."""

from __future__ import annotations

from bench.records.details.training import CurvePoint, PassCounts
from bench.sweeps.cell import Cell, CellResult, CellTraining
from bench.sweeps.task import Task, TaskContext
from zo_core.algorithms import train_config


def tiny_cell(seed: int = 0, **fields: object) -> Cell:
    small = {"dataset": "digits", "clients": 10, "warmup_cohort": 2, "high_share": 0.2}
    schedule = {"rounds": 2, "pivot": 1, "eval_every": 1}
    return Cell(config=train_config(**{**small, **schedule, **fields}, run_seed=seed))  # type: ignore[arg-type]


def task(cell: Cell) -> Task:
    return Task(cells=(cell,), surroundings=TaskContext())


def training(accuracy: float, *, at_pivot: float = 0.5, outcome: str = "finished") -> CellTraining:
    """What the worker returns of a run of 10 rounds with the pivot at 4."""
    points = [(4, at_pivot), (10, accuracy)]
    return CellTraining(
        high=(0, 1),
        outcome=outcome,
        reason=None if outcome == "finished" else "round 3: lost",
        forward="contiguous",
        forward_trial_s={},
        chance_level=None,
        rounds_done=10,
        curve=tuple(
            CurvePoint(
                rounds_done=rounds,
                test_accuracy=share,
                high_accuracy=share,
                low_accuracy=share / 2,
                worst_decile_accuracy=0.0,
                up_payload_bytes=100 * rounds,
                down_payload_bytes=200 * rounds,
                item_passes=1000 * rounds,
                elapsed_s=1.0 * rounds,
            )
            for rounds, share in points
        ),
        seconds_by_method={"fedavg": 4.0, "zeroth-order": 6.0},
        passes_by_method={
            "fedavg": PassCounts(forward_items=1000, backward_items=1000),
            "zeroth-order": PassCounts(forward_items=7000, backward_items=0),
        },
        widened=(),
        up_scalar_bytes=900,
        up_payload_bytes=1000,
        down_scalar_bytes=1900,
        down_payload_bytes=2000,
        handover_bytes=100,
        digest="00",
        zero_share=0.0,
        handover_blake2b="00",
        client_peak_bytes={"high": 2000, "low": 1000},
        parameters=10,
    )


def result(cell: Cell, accuracy: float | None, **fields: object) -> CellResult:
    """A cell's result; None for one that failed."""
    return CellResult(
        key=cell.key,
        config=cell.config.to_json(),
        status="ok" if accuracy is not None else "killed",
        error=None if accuracy is not None else "killed by SIGKILL",
        training=None if accuracy is None else training(accuracy, **fields),  # type: ignore[arg-type]
        seconds=1.0,
        made_by={"commit": "a" * 40, "dirty": False, "created": "", "host": "", "device": "cpu"},
    )


class InstantEngine:
    """Ends tasks last come, first served; remembers how many it began, and side by side."""

    slots = 2

    def __init__(self) -> None:
        self.running: list[Task] = []
        self.most = self.started = 0

    def start(self, task: Task) -> None:
        self.running.append(task)
        self.started += 1
        self.most = max(self.most, len(self.running))

    def next_ended(self) -> list[CellResult]:
        return [result(cell, 0.5) for cell in self.running.pop().cells]

    def close(self) -> None:
        self.running.clear()
