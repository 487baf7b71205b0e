"""The paper's tables and figures, reproduced: our values, the paper's, and the differences."""

from __future__ import annotations

from typing import Any

from bench.format import (
    MISSING,
    format_bytes,
    format_hours,
    format_percent,
    format_points,
    format_seconds,
)
from bench.records.details.tables import PlaceDetails, SearchDetails
from bench.records.record_index import Results
from bench.report.replicated_table import ReplicatedTable
from bench.report.section import Section
from bench.report.table import Cell, Table, interval_text


def replication_tables(results: Results) -> list[Table]:
    """Tabulate every table's accuracies and costs, and the search's winners."""
    tables = []
    for record in results.group("tables"):
        if table := ReplicatedTable.of(record):
            tables += [accuracy_table(table), group_table(table), cost_table(table)]
            tables += [unfinished_table(table)] if any(p.unfinished for p in table.places) else []
        elif search := record.details_as(SearchDetails):
            tables.append(search_table(search))
    return tables


def accuracy_table(table: ReplicatedTable) -> Table:
    """Tabulate the accuracies, with paired differences and the paper's values."""
    quantity = "Gain over the warm-up" if table.details.quantity == "gain" else "Test accuracy"
    baseline = table.label(table.details.baseline)
    return Table(
        caption=f"{table.details.title}: mean ± standard deviation over n seeds",
        columns=(
            *("High/low", "Row", quantity, "n", "The paper"),
            *(f"Minus {baseline}", "95 % interval", "The paper’s difference"),
        ),
        rows=tuple(_accuracy_row(table, place) for place in table.places),
    )


def group_table(table: ReplicatedTable) -> Table:
    """Tabulate the accuracies on the clients' own hold-outs, and how many runs diverged."""
    return Table(
        caption=f"{table.details.title}: accuracy on the clients’ own hold-outs",
        columns=("High/low", "Row", "Low hold-outs", "Worst decile", "Diverged"),
        rows=tuple(
            (
                *(Cell(place.split), Cell(place.label)),
                _mean_cell(table, place, "low_accuracy"),
                _mean_cell(table, place, "worst_decile_accuracy"),
                Cell(str(place.outcomes.count("diverged"))),
            )
            for place in table.places
        ),
        folded=True,
    )


def cost_table(table: ReplicatedTable) -> Table:
    """Tabulate what the accuracies cost."""
    return Table(
        caption=f"{table.details.title}: cost, means over the seeds",
        columns=(
            *("High/low", "Row", "Rounds", "Bytes per client", "Item passes per client"),
            "Time" if table.record.config.get("device") == "cuda" else "Time, one thread",
            *("Peak, low-resource client", "Peak, high-resource client"),
        ),
        rows=tuple(_cost_row(table, place) for place in table.places),
        folded=True,
    )


def unfinished_table(table: ReplicatedTable) -> Table:
    """Tabulate the runs that were saved before their last round."""
    rows = [
        (
            *(Cell(place.split), Cell(place.label), Cell(str(run.seed))),
            Cell(f"{run.rounds_done:,} of {run.rounds:,}"),
            Cell(format_percent(run.curve[-1].accuracy) if run.curve else MISSING),
            Cell(format_hours(sum(run.seconds_by_method.values()) / 3600)),
            Cell(MISSING if run.projected_s is None else format_hours(run.projected_s / 3600)),
            Cell(MISSING if run.digest is None else run.digest[:16]),
        )
        for place in table.places
        for run in place.unfinished
    ]
    return Table(
        caption=f"{table.details.title}: unfinished runs; the same command with the same --out"
        " continues them",
        columns=(
            *("High/low", "Row", "Seed", "Rounds done", "Last accuracy", "Time so far"),
            *("Time of all rounds, projected", "Digest of the weights"),
        ),
        rows=tuple(rows),
    )


def search_table(search: SearchDetails) -> Table:
    """Tabulate what the search chose, and the hold-out accuracy that decided."""
    rows = []
    for method, stages in search.methods.items():
        for stage in stages:
            rows.append(
                (
                    Cell(method),
                    Cell(stage.stage.algorithm),
                    Cell(", ".join(f"{k} = {v:g}" for k, v in stage.chosen.items())),
                    Cell(MISSING if stage.best.score is None else format_percent(stage.best.score)),
                    Cell(str(len(stage.trials))),
                    Cell(str(stage.stage.seeds)),
                    Cell(f"{search.budget_rounds[method]:,}"),
                )
            )
    return Table(
        caption="Learning rates, chosen on hold-outs only, by successive halving",
        columns=(
            *("Method", "Searched with", "Chosen", "Hold-out accuracy", "Trials", "Seeds"),
            "Budget of the method, rounds",
        ),
        rows=tuple(rows),
        labels=3,
    )


def _accuracy_row(table: ReplicatedTable, place: PlaceDetails) -> tuple[Cell, ...]:
    quantity = table.details.quantity
    baseline = table.place(table.details.baseline, place.split)
    is_baseline = place.row == table.details.baseline
    found = None if is_baseline else table.difference(place, baseline, quantity)
    return (
        Cell(place.split),
        Cell(place.label),
        _mean_cell(table, place, quantity),
        Cell(f"{len(place.seeds)} of {place.asked}"),
        Cell(_printed(place)),
        Cell(MISSING if found is None else format_points(found.mean)),
        Cell(MISSING if found is None else interval_text(found)),
        Cell(MISSING if is_baseline else _printed_difference(place, baseline)),
    )


def _cost_row(table: ReplicatedTable, place: PlaceDetails) -> tuple[Cell, ...]:
    def write(name: str, words: Any) -> Cell:
        metric = table.metric(place, name)
        return Cell(MISSING if metric is None or metric.value is None else words(metric.value))

    rounds = place.curve[-1].rounds if place.curve else None
    return (
        Cell(place.split),
        Cell(place.label),
        Cell(MISSING if rounds is None else f"{rounds:,.0f}"),
        write("link_bytes_per_client", format_bytes),
        write("item_passes_per_client", lambda count: f"{count:,.0f}"),
        write("elapsed_s", format_seconds),
        write("low_peak_bytes", format_bytes),
        write("high_peak_bytes", format_bytes),
    )


def _mean_cell(table: ReplicatedTable, place: PlaceDetails, name: str) -> Cell:
    metric = table.metric(place, name)
    if metric is None or metric.value is None:
        return Cell(MISSING)
    text = format_points(metric.value) if name == "gain" else format_percent(metric.value)
    return Cell(text, "" if metric.std is None else f"± {100 * metric.std:.1f}")


def _printed(place: PlaceDetails) -> str:
    printed = place.printed
    if printed is None:
        return MISSING
    return f"{printed.mean:.1f}" + (f" ± {printed.std:.1f}" if printed.std else "")


def _printed_difference(place: PlaceDetails, baseline: PlaceDetails | None) -> str:
    if baseline is None or place.printed is None or baseline.printed is None:
        return MISSING
    return format_points((place.printed.mean - baseline.printed.mean) / 100)


SECTION = Section(
    group="tables",
    title="The paper’s tables and figures, reproduced",
    short="Paper’s tables",
    lead=(
        "Whole trainings, one per seed, with the paper’s value next to ours. On other data sets"
        " than the paper’s, compare the order of the methods, not the values. Differences are"
        " between runs of one seed, which share partition, initial weights and cohorts."
    ),
    tables=(replication_tables,),
    command="zobench run --only tables",
    optional=True,
)
