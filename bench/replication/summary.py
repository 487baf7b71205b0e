"""A table's cells as one record: a metric for each place and quantity, thinned mean curves."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.records.case_name import place_key
from bench.records.details.tables import MeanPoint, PlaceDetails, UnfinishedRun
from bench.records.details.training import CurvePoint
from bench.records.record import Metric
from bench.replication.spec import PaperTable, Row, TableScale, splits_of
from bench.sweeps.cell import UNFINISHED, Cell, CellResult, CellStore, CellTraining

MAX_POINTS = 21  # of a curve in a record


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that is done, with what its figures need of its config."""

    training: CellTraining
    clients: int
    pivot: int

    @property
    def curve(self) -> tuple[CurvePoint, ...]:
        """Its evaluations."""
        return self.training.curve

    @property
    def gain(self) -> float | None:
        """The last accuracy less that at the pivot; None where that was not evaluated."""
        at_pivot = [p.accuracy for p in self.curve if p.rounds_done == self.pivot]
        return self.training.last.accuracy - at_pivot[0] if at_pivot else None

    def peak(self, group: str) -> int | None:
        """Return the peak of a group's clients, bytes; None where there is none."""
        return (self.training.client_peak_bytes or {}).get(group)


Figure = Callable[[Run], float | None]
QUANTITIES: dict[str, tuple[str, str, Figure]] = {  # name -> unit, method, of one run
    "test_accuracy": (
        *("share", "argmax on the fixed test split"),
        lambda run: run.training.last.accuracy,
    ),
    "gain": ("share", "test accuracy less that at the pivot", lambda run: run.gain),
    "high_accuracy": (
        *("share", "argmax on the high-resource clients' pooled hold-outs"),
        lambda run: run.training.last.high_accuracy,
    ),
    "low_accuracy": (
        *("share", "argmax on the low-resource clients' pooled hold-outs"),
        lambda run: run.training.last.low_accuracy,
    ),
    "worst_decile_accuracy": (
        *("share", "mean over the tenth of the clients that fare worst on their own hold-outs"),
        lambda run: run.training.last.worst_decile_accuracy,
    ),
    "link_bytes_per_client": (
        *("byte", "encoded payloads up and down, hand-over included, mean of all clients"),
        lambda run: _link_bytes(run.training) / run.clients,
    ),
    "item_passes_per_client": (
        *("count", "items through the model, a backward as two forwards, mean of all clients"),
        lambda run: run.training.item_passes / run.clients,
    ),
    "elapsed_s": (
        *("second", "wall time of all rounds, one thread, other cells beside it"),
        lambda run: sum(run.training.seconds_by_method.values()),
    ),
    "low_peak_bytes": (
        *("byte", "largest sum of live tensors in a low-resource client's update, above baseline"),
        lambda run: run.peak("low"),
    ),
    "high_peak_bytes": (
        *("byte", "largest sum of live tensors in a high-resource client's update, above baseline"),
        lambda run: run.peak("high"),
    ),
}
_OF_GROUPS = ("high_accuracy", "low_accuracy", "high_peak_bytes", "low_peak_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The cells of one row at one split, as far as they are done."""

    row: Row
    split: str
    runs: tuple[tuple[int, CellResult], ...]  # by seed
    failures: tuple[CellResult, ...]
    asked: int  # seeds
    unfinished: tuple[tuple[int, CellResult], ...] = ()  # by seed

    @property
    def key(self) -> str:
        """Begin of the names of its metrics."""
        return place_key(self.row.name, self.split)

    @property
    def done(self) -> list[Run]:
        """The runs that are done, in the order of the seeds."""
        return [
            Run(training=run.training, clients=run.config["clients"], pivot=run.config["pivot"])
            for _, run in self.runs
            if run.training is not None
        ]


def places_of(
    table: PaperTable,
    scale: TableScale,
    cells: Iterable[tuple[Row, str, Cell]],
    store: CellStore,
) -> list[Place]:
    """Gather a table's results from a store, split by split."""
    found: dict[tuple[str, str], list[tuple[int, CellResult | None]]] = {}
    for row, split, cell in cells:
        runs = found.setdefault((row.name, split), [])
        runs.append((cell.config.run_seed, store.read(cell)))
    return [
        Place(
            row=row,
            split=split,
            runs=tuple((s, r) for s, r in runs if r is not None and r.status == "ok"),
            unfinished=tuple((s, r) for s, r in runs if r is not None and r.status == UNFINISHED),
            failures=tuple(
                r for _, r in runs if r is not None and r.status not in {"ok", UNFINISHED}
            ),
            asked=len(runs),
        )
        for split in splits_of(table, scale)
        for row in table.rows
        if (runs := found[row.name, split]) is not None
    ]


def metrics_of(place: Place) -> dict[str, Metric]:
    """Make a place's metrics, those that apply to it; a sample a run, in the order of the seeds."""
    metrics = {}
    for name, (unit, method, figure) in QUANTITIES.items():
        values = [figure(run) for run in place.done]
        known = [value for value in values if value is not None]
        if place.row.one_split is not None and name in _OF_GROUPS:
            continue  # its groups are those of another split
        if known:
            metrics[name] = Metric.mean(known, unit, method)
        elif name == "test_accuracy":
            metrics[name] = Metric.unmeasured(unit, "no run of this cell is done")
    return {f"{place.key}/{name}": metric for name, metric in metrics.items()}


def details_of(place: Place) -> PlaceDetails:
    """Describe a place for the record: seeds, outcomes, hand-overs, what is printed, curves."""
    trainings = [run.training for run in place.done]
    return PlaceDetails(
        row=place.row.name,
        label=place.row.label,
        split=place.split,
        x=place.row.x,
        seeds=tuple(seed for seed, _ in place.runs),
        asked=place.asked,
        keys=tuple(run.key for _, run in place.runs),
        commits=tuple(sorted({str(run.made_by["commit"]) for _, run in place.runs})),
        dirty=any(run.made_by["dirty"] for _, run in place.runs),
        outcomes=tuple(training.outcome for training in trainings),
        reasons=tuple(sorted({t.reason for t in trainings if t.reason})),
        handovers=tuple(training.handover_blake2b for training in trainings),
        failed=tuple(sorted({f"{run.status}: {run.error}" for run in place.failures})),
        printed=place.row.printed.get(place.split),
        curve=curve_of(place.done),
        unfinished=tuple(_unfinished(seed, result) for seed, result in place.unfinished),
    )


def _unfinished(seed: int, result: CellResult) -> UnfinishedRun:
    run = result.training
    assert run is not None
    return UnfinishedRun(
        seed=seed,
        key=result.key,
        rounds_done=run.rounds_done,
        rounds=result.config["rounds"],
        digest=run.digest,
        seconds_by_method=run.seconds_by_method,
        projected_s=run.projected_s,
        curve=run.curve,
    )


def curve_of(runs: Sequence[Run]) -> tuple[MeanPoint, ...]:
    """Average the runs' curves as far as all of them go, at no more than MAX_POINTS rounds."""
    columns = list(zip(*(run.curve for run in runs), strict=False))
    step = -(-len(columns) // MAX_POINTS) if columns else 1
    chosen = columns[::-1][::step][::-1]  # the last one is always in
    return tuple(_point(column, [run.clients for run in runs]) for column in chosen)


def _point(column: Sequence[CurvePoint], clients: Sequence[int]) -> MeanPoint:
    accuracies = [point.accuracy for point in column]
    payloads = [_link_bytes(point) / n for point, n in zip(column, clients, strict=True)]
    passes = [
        p.item_passes / n for p, n in zip(column, clients, strict=True) if p.item_passes is not None
    ]
    is_counted = len(passes) == len(column)  # cells of older versions lack it
    return MeanPoint(
        rounds=_rounded(column[0].rounds_done),
        mean=_rounded(statistics.fmean(accuracies)),
        low=_rounded(min(accuracies)),
        high=_rounded(max(accuracies)),
        link_bytes_per_client=_rounded(statistics.fmean(payloads)),
        elapsed_s=_rounded(statistics.fmean(point.elapsed_s for point in column)),
        item_passes_per_client=_rounded(statistics.fmean(passes)) if is_counted else None,
    )


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _link_bytes(spent: CellTraining | CurvePoint) -> int:
    return spent.up_payload_bytes + spent.down_payload_bytes
