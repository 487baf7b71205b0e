"""The tables of what was predicted and what was learnt: the paper's Table 1, counts, accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.format import MISSING, label, megabytes, percent, points, significant, size
from bench.records.paired import compare_on_seeds
from bench.records.record import Record
from bench.records.record_index import Results
from bench.report.groups.statements import interval_text, verdict
from bench.report.table import Cell, Table

_SHARES = ("test_accuracy", "high_accuracy", "low_accuracy")


def formula_tables(results: Results) -> list[Table]:
    """Tabulate Table 1 as printed, recomputed and measured, and the counts under it."""
    table1 = results.by_case.get("formulas/table1")
    counts = results.by_case.get("formulas/counts")
    tables = []
    if table1 and table1.details.get("rows"):
        tables.append(_table1(table1))
        residuals = table1.details.get("residual", {})
        tables += [_residual(method, data) for method, data in residuals.items() if "terms" in data]
    if counts and counts.details.get("rows"):
        tables.append(_counts(counts))
    return tables


def accuracy_tables(results: Results) -> list[Table]:
    """Tabulate the final accuracies, and the paired difference of each split."""
    runs = [
        _accuracy_row(results, record)
        for split in results.splits()
        for algorithm in results.algorithms()
        if (record := results.by_case.get(f"accuracy/{algorithm}/{split}"))
    ]
    pairs = [
        row
        for split in results.splits()
        for other in ("high-res-only", "zowarmup-plain")
        for row in _paired_row(results, split, other)
    ]
    tables = []
    if runs:
        tables.append(_accuracy_table(runs))
    if pairs:
        tables.append(_paired_table(pairs))
    return tables


def _table1(record: Record) -> Table:
    config, rows = record.config, record.details["rows"]
    order = [row["quantity"] for row in rows]
    return Table(
        caption=(
            f"Table 1 of the paper ({label(config['model'])}, batch {config['batch']},"
            f" S = {config['directions']}, K = {config['cohort']}), {rows[0]['unit']} = 10⁶ bytes"
        ),
        columns=(
            *("Quantity", "Method", "As printed", "Recomputed", "Measured"),
            *("Measured − recomputed", "Formula; meter; remark"),
        ),
        rows=tuple(map(_table1_row, sorted(rows, key=lambda row: order.index(row["quantity"])))),
        prose=True,
    )


def _table1_row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    measured, recomputed = row["measured"], row["recomputed"]
    remarks = (row["formula"], row["measured_how"], row["note"])
    return (
        Cell(row["quantity"]),
        Cell(label(row["method"])),
        Cell(megabytes(row["printed"])),
        Cell(megabytes(recomputed)),
        Cell(megabytes(measured)),
        Cell(MISSING if measured is None else _signed(measured - recomputed)),
        Cell("; ".join(remark for remark in remarks if remark)),
    )


def _residual(method: str, data: Mapping[str, Any]) -> Table:
    """Tabulate the way from a formula to the measurement, one difference a row."""

    def row(name: str, size_bytes: float, how: str) -> tuple[Cell, ...]:
        return Cell(name), Cell(megabytes(size_bytes / 1e6)), Cell(how)

    share = f"{100 * data['unexplained_share']:.2f} % of the measurement"
    default = " to ".join(megabytes(f(data["default_bytes"]) / 1e6) for f in (min, max))
    rows = [
        row("formula", data["formula_bytes"], "eq. 4" if method == "fedavg" else "eq. 5"),
        *(row(term["term"], term["bytes"], term["how"]) for term in data["terms"]),
        row("unexplained", data["unexplained_bytes"], share),
        row("measured", data["measured_bytes"], f"{default} MB where glibc keeps freed blocks"),
    ]
    return Table(
        caption=f"From formula to measurement, term by term, {label(method)}, MB",
        folded=True,
        columns=("Term", "MB", "How it was had"),
        rows=tuple(rows),
        labels=1,
        prose=True,
    )


def _signed(residual: float) -> str:
    return f"{'+' if residual > 0 else ''}{megabytes(residual)}"


def _counts(record: Record) -> Table:
    rows = [
        (
            Cell(row["quantity"]),
            *(Cell(_number(row[key])) for key in ("expected", "found")),
            Cell(_deviation(row["expected"], row["found"])),
            Cell(row["source"]),
        )
        for row in record.details["rows"]
    ]
    return Table(
        caption="The counts that the formulas rest on",
        folded=True,
        columns=("Quantity", "Expected", "Found", "Difference", "Source of the expectation"),
        rows=tuple(rows),
        labels=1,
        prose=True,
    )


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else significant(value, 4)


def _deviation(expected: float, found: float) -> str:
    if expected == found:
        return "none"
    return f"{100 * (found - expected) / expected:+.3f} %".replace("-", "−")


def _accuracy_table(rows: list[tuple[Cell, ...]]) -> Table:
    return Table(
        caption="Final accuracy: mean ± standard deviation (smallest–largest) over seeds",
        columns=(
            *("High/low", "Algorithm", "Test", "High hold-outs", "Low hold-outs"),
            *("Bytes a client", "Rounds", "Seeds", "Diverged"),
        ),
        rows=tuple(rows),
    )


def _accuracy_row(results: Results, record: Record) -> tuple[Cell, ...]:
    algorithm, split = record.case.split("/")[1:]
    outcomes = record.details.get("outcomes", ())
    return (
        Cell(split.replace("-", "/")),
        Cell(label(algorithm)),
        *(_share_cell(results, record.case, name) for name in _SHARES),
        Cell(_bytes_a_client(results, record)),
        Cell(str(record.config.get("rounds", MISSING))),
        Cell(str(len(record.details.get("seeds", ()))) if record.details else MISSING),
        Cell(str(sum(o == "diverged" for o in outcomes)) if outcomes else MISSING),
    )


def _share_cell(results: Results, case: str, name: str) -> Cell:
    metric = results.metric(case, name)
    if metric is None or metric.value is None:
        return Cell(MISSING, results.reason(case, name))
    if metric.std is None or metric.spread is None:
        return Cell(percent(metric.value))
    low, high = metric.spread
    return Cell(
        percent(metric.value), f"± {100 * metric.std:.1f} ({100 * low:.1f}–{100 * high:.1f})"
    )


def _bytes_a_client(results: Results, record: Record) -> str:
    """Write a whole run's traffic, up and down, over the number of clients."""
    up, down = (results.value(record.case, f"{way}_payload_bytes") for way in ("up", "down"))
    clients = record.config.get("clients")
    return MISSING if up is None or down is None or not clients else size((up + down) / clients)


def _paired_table(rows: list[tuple[Cell, ...]]) -> Table:
    return Table(
        caption="Differences of test accuracy, paired by seed, percentage points",
        columns=(
            *("High/low", "Difference", "Mean", "Standard deviation"),
            *("95 % interval", "Pairs", "Reading"),
        ),
        rows=tuple(rows),
        labels=2,
        prose=True,
    )


def _paired_row(results: Results, split: str, other: str) -> list[tuple[Cell, ...]]:
    ours, theirs = (results.by_case.get(f"accuracy/{name}/{split}") for name in ("zowarmup", other))
    difference = compare_on_seeds(ours, theirs, "test_accuracy")
    if difference is None:
        return []
    row = (
        Cell(split.replace("-", "/")),
        Cell(f"ZOWarmUp − {label(other)}"),
        Cell(points(difference.mean)),
        Cell(MISSING if difference.std is None else f"{100 * difference.std:.1f}"),
        Cell(interval_text(difference)),
        Cell(str(difference.n)),
        Cell(verdict(difference)),
    )
    return [row]
