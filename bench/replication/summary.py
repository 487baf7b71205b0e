"""A table's cells as one record: a metric for each place and quantity, thinned mean curves."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.format import place_key
from bench.records.record import Metric, mean, unmeasured
from bench.replication.spec import PaperTable, Row, TableScale, splits_of
from bench.sweeps.cell import Cell, CellResult, CellStore
from zo_core.loss.passes import Passes

Training = Mapping[str, Any]  # what bench.sweeps.worker.summary returns
MAX_POINTS = 21  # of a curve in a record


def _last(training: Training, group: str) -> float | None:
    value: float | None = training["curve"][-1][f"{group}_accuracy"]
    return value


def gain(training: Training) -> float | None:
    """Subtract the accuracy at the pivot from the last; None where that was not evaluated."""
    at_pivot = [
        point["test_accuracy"]
        for point in training["curve"]
        if point["rounds_done"] == training["pivot"]
    ]
    last = _last(training, "test")
    return last - at_pivot[0] if at_pivot and last is not None else None


def _item_passes(training: Training) -> int:
    counted = training["passes_by_method"].values()
    return sum(Passes(**passes).items for passes in counted)


Figure = Callable[[Training], float | None]
QUANTITIES: dict[str, tuple[str, str, Figure]] = {  # name -> unit, method, of one run
    "test_accuracy": ("share", "argmax on the fixed test split", lambda t: _last(t, "test")),
    "gain": ("share", "test accuracy less that at the pivot", gain),
    "high_accuracy": (
        *("share", "argmax on the high-resource clients' pooled hold-outs"),
        lambda t: _last(t, "high"),
    ),
    "low_accuracy": (
        *("share", "argmax on the low-resource clients' pooled hold-outs"),
        lambda t: _last(t, "low"),
    ),
    "worst_decile_accuracy": (
        *("share", "mean over the tenth of the clients that fare worst on their own hold-outs"),
        lambda t: _last(t, "worst_decile"),
    ),
    "link_bytes_per_client": (
        *("byte", "encoded payloads up and down, hand-over included, mean of all clients"),
        lambda t: (t["up_payload_bytes"] + t["down_payload_bytes"]) / t["clients"],
    ),
    "item_passes_per_client": (
        *("count", "items through the model, a backward as two forwards, mean of all clients"),
        lambda t: _item_passes(t) / t["clients"],
    ),
    "elapsed_s": (
        *("second", "wall time of all rounds, one thread, other cells beside it"),
        lambda t: sum(t["seconds_by_method"].values()),
    ),
    "low_peak_bytes": (
        *("byte", "largest sum of live tensors in a low-resource client's update, above baseline"),
        lambda t: (t["client_peak_bytes"] or {}).get("low"),
    ),
    "high_peak_bytes": (
        *("byte", "largest sum of live tensors in a high-resource client's update, above baseline"),
        lambda t: (t["client_peak_bytes"] or {}).get("high"),
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

    @property
    def key(self) -> str:
        """Begin of the names of its metrics."""
        return place_key(self.row.name, self.split)

    @property
    def trainings(self) -> list[Training]:
        """Return what the done runs left, with the number of clients."""
        return [
            {**run.training, "clients": run.config["clients"], "pivot": run.config["pivot"]}
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
            failures=tuple(r for _, r in runs if r is not None and r.status != "ok"),
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
        values = [figure(training) for training in place.trainings]
        known = [value for value in values if value is not None]
        if place.row.one_split is not None and name in _OF_GROUPS:
            continue  # its groups are those of another split
        if known:
            metrics[name] = mean(known, unit, method)
        elif name == "test_accuracy":
            metrics[name] = unmeasured(unit, "no run of this cell is done")
    return {f"{place.key}/{name}": metric for name, metric in metrics.items()}


def details_of(place: Place) -> dict[str, Any]:
    """Describe a place for the record: seeds, outcomes, hand-overs, what is printed, curves."""
    trainings = place.trainings
    return {
        "row": place.row.name,
        "label": place.row.label,
        "split": place.split,
        "x": place.row.x,
        "seeds": [seed for seed, _ in place.runs],
        "asked": place.asked,
        "keys": [run.key for _, run in place.runs],
        "commits": sorted({str(run.made_by["commit"]) for _, run in place.runs}),
        "dirty": any(run.made_by["dirty"] for _, run in place.runs),
        "outcomes": [training["outcome"] for training in trainings],
        "reasons": sorted({t["reason"] for t in trainings if t["reason"]}),
        "handovers": [training["handover_blake2b"] for training in trainings],
        "failed": sorted({f"{run.status}: {run.error}" for run in place.failures}),
        "printed": (p := place.row.printed.get(place.split)) and asdict(p),
        "curve": curve_of(trainings),
    }


def curve_of(trainings: Sequence[Training]) -> list[dict[str, float]]:
    """Average the runs' curves as far as all of them go, at no more than MAX_POINTS rounds."""
    columns = list(zip(*(training["curve"] for training in trainings), strict=False))
    step = -(-len(columns) // MAX_POINTS) if columns else 1
    chosen = columns[::-1][::step][::-1]  # the last one is always in
    return [_point(column, trainings) for column in chosen]


def _point(column: Sequence[Training], trainings: Sequence[Training]) -> dict[str, float]:
    accuracies = [point["test_accuracy"] for point in column]
    clients = [training["clients"] for training in trainings]
    payloads = [
        (point["up_payload_bytes"] + point["down_payload_bytes"]) / n
        for point, n in zip(column, clients, strict=True)
    ]
    numbers = {
        "rounds": float(column[0]["rounds_done"]),
        "mean": statistics.fmean(accuracies),
        "low": min(accuracies),
        "high": max(accuracies),
        "link_bytes_per_client": statistics.fmean(payloads),
        "elapsed_s": statistics.fmean(point["elapsed_s"] for point in column),
    }
    if all("item_passes" in point for point in column):  # cells of older versions lack it
        passes = (point["item_passes"] / n for point, n in zip(column, clients, strict=True))
        numbers["item_passes_per_client"] = statistics.fmean(passes)
    return {name: float(f"{value:.6g}") for name, value in numbers.items()}
