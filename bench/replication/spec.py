"""What a table of the paper is, as data: its rows, its columns, and the config of each cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.records.details.tables import Printed
from bench.sweeps.cell import Cell
from zo_core.algorithms import taken_by, train_config
from zo_core.config import TrainConfig
from zo_core.data.resources import parse_split

Rates = Mapping[str, Mapping[str, float]]  # method -> config fields that were searched


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table, or one mark of a figure: what is trained, at every split."""

    name: str  # unique in its table
    label: str
    rates: str  # the method whose learning rates it takes
    fields: Mapping[str, Any]  # of TrainConfig, where they differ from the scale's
    pivot_share: float | None = None  # of the rounds; None for the scale's
    rate_factor: float = 1.0  # on the ZO rate
    one_split: str | None = None  # the split that stands for all where training knows no groups
    x: float | None = None  # its place on a figure's axis
    printed: Mapping[str, Printed] = field(default_factory=dict)  # by split


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperTable:
    """One table or figure of the paper."""

    name: str  # "table2"
    title: str
    rows: tuple[Row, ...]
    splits: tuple[str, ...]  # high/low per cent
    baseline: str  # the row that the others are compared with, on the same seeds
    quantity: str = "test_accuracy"  # or "gain": over the evaluation at the pivot
    x_label: str | None = None  # of a figure whose rows have places on an axis
    paper_runs: int = 5  # runs of a cell in the paper
    scales: tuple[str, ...] | None = None  # where it can be run; None for everywhere
    notes: tuple[str, ...] = ()  # what a reader must know


@dataclass(frozen=True, slots=True, kw_only=True)
class TableScale:
    """What the cells of one scale are trained on and for how long."""

    name: str
    base: Mapping[str, Any]  # of TrainConfig: data, model, schedule
    pivot_share: float  # of the rounds
    rates: str  # name of the file with its learning rates
    runs: Callable[[int], int]  # the paper's number of runs -> ours
    splits: tuple[str, ...] | None = None  # where fewer than the tables' are run
    checkpointed: bool = False  # cells are long: save them and go on after an interruption
    note: str = ""


def splits_of(table: PaperTable, scale: TableScale) -> tuple[str, ...]:
    """List the splits of a table that a scale runs."""
    return tuple(s for s in table.splits if scale.splits is None or s in scale.splits)


def config_of(
    row: Row, split: str, scale: TableScale, rates: Rates, *, run_seed: int
) -> TrainConfig:
    """Make the config of one cell.

    Raises:
        ValueError: the fields contradict one another, or there are no rates for the row.
    """
    if row.rates not in rates:
        raise ValueError(
            f"there are no learning rates of {row.rates!r} at scale {scale.name};"
            f" known: {', '.join(sorted(rates))}"
        )
    chosen: dict[str, Any] = {**scale.base, **rates[row.rates], **row.fields}
    share = scale.pivot_share if row.pivot_share is None else row.pivot_share
    chosen["pivot"] = round(share * chosen["rounds"])
    chosen["high_share"] = parse_split(row.one_split or split)
    chosen["zo_server_lr"] = chosen.get("zo_server_lr", 1.0) * row.rate_factor
    return train_config(**taken_by(chosen["algorithm"], chosen), run_seed=run_seed)


def cells_of(
    table: PaperTable, scale: TableScale, rates: Rates, *, runs: int
) -> Iterator[tuple[Row, str, Cell]]:
    """List a table's cells with their places, seed by seed, so that a part of them is fair."""
    for seed in range(runs):
        for split in splits_of(table, scale):
            for row in table.rows:
                yield row, split, Cell(config=config_of(row, split, scale, rates, run_seed=seed))
