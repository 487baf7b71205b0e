"""Details of the group tables: the paper's tables, and the search of learning rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.records.details.training import CurvePoint
from bench.records.typed_json import columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What the paper prints for a place, in per cent."""

    mean: float
    std: float | None


@columns
@dataclass(frozen=True, slots=True, kw_only=True)
class MeanPoint:
    """One point of a mean curve, rounded to six digits."""

    rounds: float
    mean: float  # accuracy
    low: float
    high: float
    link_bytes_per_client: float
    elapsed_s: float
    item_passes_per_client: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedRun:
    """A run that was saved before its last round; the same command continues it."""

    seed: int
    key: str  # of the run's cell
    rounds_done: int
    rounds: int
    digest: str | None  # hex, of the state after the last round done
    seconds_by_method: Mapping[str, float]
    projected_s: float | None  # of all rounds; None before each phase began
    curve: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceDetails:
    """The runs of one row at one split."""

    row: str
    label: str
    split: str
    x: float | None  # the row's place on the abscissa of a figure
    seeds: tuple[int, ...]  # of the runs that are done
    asked: int  # seeds
    keys: tuple[str, ...]  # of the runs' cells
    commits: tuple[str, ...]
    dirty: bool
    outcomes: tuple[str, ...]
    reasons: tuple[str, ...]
    handovers: tuple[str | None, ...]  # hex, of the base model
    failed: tuple[str, ...]  # status and error
    printed: Printed | None
    curve: tuple[MeanPoint, ...]
    unfinished: tuple[UnfinishedRun, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDetails:
    """A table, as far as its runs are done."""

    title: str
    baseline: str | None  # the row that the others are compared with
    quantity: str  # the metric that the table shows
    x_label: str | None
    notes: tuple[str, ...]
    places: tuple[PlaceDetails, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One group of rates, searched together."""

    algorithm: str
    axes: Mapping[str, tuple[float, ...]]  # the values of each rate
    seeds: int
    fields: Mapping[str, Any]  # what else of the config differs from the scale's


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One candidate on one rung."""

    rounds: int
    fields: Mapping[str, float]
    score: float | None  # mean hold-out accuracy; None where a run diverged or failed


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTrace:
    """What a stage tried and chose."""

    stage: Stage
    trials: tuple[Trial, ...]
    chosen: Mapping[str, float]

    @property
    def best(self) -> Trial:
        """The first of the last rung."""
        return next(trial for trial in self.trials if trial.rounds == self.trials[-1].rounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchDetails:
    """What the search of learning rates tried and chose."""

    title: str
    budget_rounds: Mapping[str, int]  # by method
    methods: Mapping[str, tuple[StageTrace, ...]]  # by method: its stages


TablesDetails = TableDetails | SearchDetails
