"""Final accuracy by split and algorithm, and the differences paired by seed."""

from __future__ import annotations

from dataclasses import replace

from bench.format import MISSING, format_bytes, format_percent, format_points
from bench.labels import label
from bench.records.budget import is_compared, rounds_of
from bench.records.case_name import CaseName
from bench.records.details.training import AccuracyDetails
from bench.records.paired import compare_on_seeds
from bench.records.record import Record
from bench.records.record_index import Results
from bench.report.section import Section
from bench.report.table import Cell, Table, interval_text, verdict

_SHARES = ("test_accuracy", "high_accuracy", "low_accuracy")


def accuracy_tables(results: Results) -> list[Table]:
    """Tabulate the final accuracies, the short runs, and the paired differences of each split."""
    runs = [
        (record, split, algorithm)
        for split in results.splits()
        for algorithm in results.algorithms()
        if (record := results.record(CaseName.accuracy(algorithm, split)))
    ]
    compared, short = (
        tuple(_row(results, *run) for run in runs if is_compared(results, run[0]) is wanted)
        for wanted in (True, False)
    )
    pairs = tuple(
        row
        for split in results.splits()
        for other in ("high-res-only", "zowarmup-plain")
        for row in _paired_row(results, split, other)
    )
    tables = (
        _accuracy_table("Final accuracy", compared),
        replace(_accuracy_table("Short runs, not compared. Accuracy", short), folded=True),
        _paired_table(pairs),
    )
    return [table for table in tables if table.rows]


def _accuracy_table(what: str, rows: tuple[tuple[Cell, ...], ...]) -> Table:
    return Table(
        caption=f"{what}: mean ± standard deviation (smallest–largest) over n seeds",
        columns=(
            *("High/low", "Algorithm", "Test", "High hold-outs", "Low hold-outs"),
            *("Bytes per client", "Diverged"),
        ),
        rows=rows,
    )


def _row(results: Results, record: Record, split: str, algorithm: str) -> tuple[Cell, ...]:
    details = record.details_as(AccuracyDetails)
    return (
        Cell(split.replace("-", "/")),
        Cell(label(algorithm), sample_of(record)),
        *(_share_cell(results, record.case, name) for name in _SHARES),
        Cell(_bytes_per_client(results, record)),
        Cell(str(details.num_diverged) if details else MISSING),
    )


def sample_of(record: Record) -> str:
    """Write a training's rounds and seeds."""
    details = record.details_as(AccuracyDetails)
    return f"{rounds_of(record)} rounds, n = {len(details.seeds) if details else MISSING}"


def _share_cell(results: Results, case: str, name: str) -> Cell:
    metric = results.metric(case, name)
    if metric is None or metric.value is None:
        return Cell(MISSING, results.reason(case, name))
    if metric.std is None or metric.spread is None:
        return Cell(format_percent(metric.value))
    low, high = metric.spread
    return Cell(
        format_percent(metric.value), f"± {100 * metric.std:.1f} ({100 * low:.1f}–{100 * high:.1f})"
    )


def _bytes_per_client(results: Results, record: Record) -> str:
    """Write a whole run's traffic, up and down, over the number of clients."""
    up, down = (results.value(record.case, f"{link}_payload_bytes") for link in ("up", "down"))
    clients = record.config.get("clients")
    return (
        MISSING
        if up is None or down is None or not clients
        else format_bytes((up + down) / clients)
    )


def _paired_table(rows: tuple[tuple[Cell, ...], ...]) -> Table:
    return Table(
        caption="Differences of test accuracy, paired by seed, percentage points",
        columns=(
            *("High/low", "Difference", "Mean", "Standard deviation"),
            *("95 % interval", "Pairs", "Result"),
        ),
        rows=rows,
        labels=2,
        prose=True,
    )


def _paired_row(results: Results, split: str, other: str) -> list[tuple[Cell, ...]]:
    names = (CaseName.accuracy(name, split) for name in ("zowarmup", other))
    ours, theirs = map(results.record, names)
    difference = compare_on_seeds(ours, theirs, "test_accuracy")
    if difference is None or not all(is_compared(results, r) for r in (ours, theirs) if r):
        return []
    row = (
        Cell(split.replace("-", "/")),
        Cell(f"ZOWarmUp − {label(other)}"),
        Cell(format_points(difference.mean)),
        Cell(MISSING if difference.std is None else f"{100 * difference.std:.1f}"),
        Cell(interval_text(difference)),
        Cell(str(difference.n)),
        Cell(verdict(difference)),
    )
    return [row]


SECTION = Section(
    group="accuracy",
    title="Accuracy",
    lead=(
        "ZOWarmUp trains on high-resource clients up to the pivot and on all clients with ZO after"
        " it. High-Res-Only spends the same total of rounds on high-resource clients only. Both"
        " run on the same seeds, so they are compared in pairs. FedAvg with all clients is what"
        " they could reach if every client had the memory for backprop. Runs with fewer rounds"
        " than ZOWarmUp are not compared; HeteroFL takes as many as fit into FedAvg’s bytes."
    ),
    tables=(accuracy_tables,),
    definitions={
        "Accuracy": (
            "The share of the test split that is classified correctly after the last round. High"
            " and low hold-outs are the 10 % of its data that each client keeps back, pooled by"
            " group. Each seed is a run with its own partition, initial weights and cohorts. On"
            " the digits, each writer’s images are in both splits: these are accuracies for known"
            " writers. The data set digits-writers tests on unseen ones (docs/data.md)."
        ),
        "Intervals": "Student’s t on the seeds’ paired differences, 95 %.",
    },
)
