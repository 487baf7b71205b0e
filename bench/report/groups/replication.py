"""The report's tables of the paper's tables: what we have, what the paper has, and differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.format import MISSING, duration, percent, place_key, points, size
from bench.records.paired import PairedDifference, paired_difference
from bench.records.record import Metric, Record
from bench.records.record_index import Results
from bench.report.groups.statements import interval_text
from bench.report.table import Cell, Table

Place = Mapping[str, Any]  # one entry of a record's details["places"]


def replication_tables(results: Results) -> list[Table]:
    """Tabulate every table's accuracies and costs, and the search's winners."""
    tables = []
    for record in results.group("tables"):
        if record.details.get("places"):
            tables += [accuracy_table(record), cost_table(record)]
        elif record.details.get("methods"):
            tables.append(search_table(record))
    return tables


def accuracy_table(record: Record) -> Table:
    """Tabulate a record's accuracies, with paired differences and the paper's values."""
    quantity = "Gain over the warm-up" if _is_gain(record) else "Test accuracy"
    baseline = label_of(record, record.details["baseline"])
    return Table(
        caption=f"{record.details['title']}: mean ± standard deviation over n seeds",
        columns=(
            *("High/low", "Row", quantity, "n", "The paper"),
            *(f"Less {baseline}", "95 % interval", "The paper’s difference"),
            *("Low hold-outs", "Worst decile", "Diverged"),
        ),
        rows=tuple(_accuracy_row(record, place) for place in record.details["places"]),
    )


def cost_table(record: Record) -> Table:
    """Tabulate what a record's accuracies cost."""
    return Table(
        caption=f"{record.details['title']}: what it cost, means over the seeds",
        columns=(
            *("High/low", "Row", "Rounds", "Up and down a client", "Item passes a client"),
            "Time, one thread",
            *("Peak, low-resource client", "Peak, high-resource client"),
        ),
        rows=tuple(_cost_row(record, place) for place in record.details["places"]),
    )


def search_table(record: Record) -> Table:
    """Tabulate what the search chose, and by which hold-out accuracy."""
    rows = []
    for method, stages in record.details["methods"].items():
        for stage in stages:
            best = next(t for t in stage["trials"] if t["rounds"] == stage["trials"][-1]["rounds"])
            rows.append(
                (
                    Cell(method),
                    Cell(stage["stage"]["algorithm"]),
                    Cell(", ".join(f"{k} = {v:g}" for k, v in stage["chosen"].items())),
                    Cell(percent(best["score"])),
                    Cell(str(len(stage["trials"]))),
                    Cell(str(stage["stage"]["seeds"])),
                    Cell(f"{record.details['budget_rounds'][method]:,}"),
                )
            )
    return Table(
        caption="Learning rates, chosen on hold-outs alone by successive halving",
        columns=(
            *("Method", "Searched with", "Chosen", "Hold-out accuracy", "Trials", "Seeds"),
            "Budget of the method, rounds",
        ),
        rows=tuple(rows),
        labels=3,
    )


def metric_of(record: Record, place: Place, name: str) -> Metric | None:
    """Return a place's metric; None where it does not apply or nothing is done."""
    metric = record.metrics.get(f"{place_key(place['row'], place['split'])}/{name}")
    return metric if metric is not None and metric.value is not None else None


def place_of(record: Record, row: str, split: str) -> Place | None:
    """Return a record's place by row and split."""
    found = (p for p in record.details["places"] if (p["row"], p["split"]) == (row, split))
    return next(found, None)


def difference(
    record: Record, place: Place, other: Place | None, name: str
) -> PairedDifference | None:
    """Compare two places of a record on the seeds that both have."""
    if other is None:
        return None
    ours, theirs = _by_seed(record, place, name), _by_seed(record, other, name)
    pairs = [value - theirs[seed] for seed, value in ours.items() if seed in theirs]
    return paired_difference(pairs) if pairs else None


def label_of(record: Record, row: str) -> str:
    """Return a row's label."""
    return next((p["label"] for p in record.details["places"] if p["row"] == row), row)


def _accuracy_row(record: Record, place: Place) -> tuple[Cell, ...]:
    quantity = record.details["quantity"]
    baseline = place_of(record, record.details["baseline"], place["split"])
    is_baseline = place["row"] == record.details["baseline"]
    found = None if is_baseline else difference(record, place, baseline, quantity)
    return (
        Cell(place["split"]),
        Cell(place["label"]),
        _mean_cell(record, place, quantity),
        Cell(f"{len(place['seeds'])} of {place['asked']}"),
        Cell(_printed(place)),
        Cell(MISSING if found is None else points(found.mean)),
        Cell(MISSING if found is None else interval_text(found)),
        Cell(MISSING if is_baseline else _printed_difference(place, baseline)),
        _mean_cell(record, place, "low_accuracy"),
        _mean_cell(record, place, "worst_decile_accuracy"),
        Cell(str(place["outcomes"].count("diverged"))),
    )


def _cost_row(record: Record, place: Place) -> tuple[Cell, ...]:
    def write(name: str, words: Any) -> Cell:
        metric = metric_of(record, place, name)
        return Cell(MISSING if metric is None or metric.value is None else words(metric.value))

    rounds = place["curve"][-1]["rounds"] if place["curve"] else None
    return (
        Cell(place["split"]),
        Cell(place["label"]),
        Cell(MISSING if rounds is None else f"{rounds:,.0f}"),
        write("link_bytes_per_client", size),
        write("item_passes_per_client", lambda count: f"{count:,.0f}"),
        write("elapsed_s", duration),
        write("low_peak_bytes", size),
        write("high_peak_bytes", size),
    )


def _mean_cell(record: Record, place: Place, name: str) -> Cell:
    metric = metric_of(record, place, name)
    if metric is None or metric.value is None:
        return Cell(MISSING)
    text = points(metric.value) if name == "gain" else percent(metric.value)
    return Cell(text, "" if metric.std is None else f"± {100 * metric.std:.1f}")


def _printed(place: Place) -> str:
    printed = place["printed"]
    if printed is None:
        return MISSING
    return f"{printed['mean']:.1f}" + (f" ± {printed['std']:.1f}" if printed["std"] else "")


def _printed_difference(place: Place, baseline: Place | None) -> str:
    if baseline is None or place["printed"] is None or baseline["printed"] is None:
        return MISSING
    return points((place["printed"]["mean"] - baseline["printed"]["mean"]) / 100)


def _by_seed(record: Record, place: Place, name: str) -> dict[int, float]:
    metric = metric_of(record, place, name)
    if metric is None or len(metric.samples) != len(place["seeds"]):
        return {}
    return dict(zip(place["seeds"], metric.samples, strict=True))


def _is_gain(record: Record) -> bool:
    return bool(record.details["quantity"] == "gain")
