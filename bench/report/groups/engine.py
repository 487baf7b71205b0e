"""The engine's own figures next to their thresholds."""

from __future__ import annotations

from bench.format import MISSING, format_number, format_quantity
from bench.records.details.machine import EngineDetails
from bench.records.record import Metric, Record
from bench.records.record_index import Results
from bench.report.section import Section
from bench.report.table import Cell, Table, spread

_COLUMNS = ("Case", "Figure", "Value", "Range", "n", "Threshold", "Result")


def engine_tables(results: Results) -> list[Table]:
    """Tabulate the figures with a threshold, then the others."""
    rows = [
        _row(record, name, metric, metric.value)
        for record in results.group("engine")
        for name, metric in record.metrics.items()
        if metric.value is not None
    ]
    tested = tuple(row for row in rows if row[-1].text != MISSING)
    others = tuple(row for row in rows if row[-1].text == MISSING)
    tables = [
        Table(caption="Figures with a threshold", columns=_COLUMNS, rows=tested),
        Table(caption="Other figures", columns=_COLUMNS, rows=others, folded=True),
    ]
    return [table for table in tables if table.rows]


def _row(record: Record, name: str, metric: Metric, value: float) -> tuple[Cell, ...]:
    def write(amount: float) -> str:
        return format_quantity(amount, metric.unit)

    bare = write if metric.unit in ("byte", "second", "share") else format_number
    details = record.details_as(EngineDetails)
    limit = details.limits.get(name) if details else None
    floor = details.floors.get(name) if details else None
    thresholds = [(sign, bar) for sign, bar in (("≤", limit), ("≥", floor)) if bar is not None]
    passed = (limit is None or value <= limit) and (floor is None or value >= floor)
    return (
        Cell(record.name.label),
        Cell(name.replace("_", " ")),
        Cell(write(value)),
        Cell(spread(metric, bare) or MISSING),
        Cell(str(metric.n)),
        Cell(", ".join(f"{sign} {write(bar)}" for sign, bar in thresholds) or MISSING),
        _result(passed) if thresholds else Cell(MISSING),
    )


def _result(passed: bool) -> Cell:
    return Cell("pass", tone="good") if passed else Cell("fail", tone="bad")


SECTION = Section(
    group="engine",
    title="The engine",
    lead=(
        "What the passes over the weights cost on this machine, and whether they meet the suite’s"
        " thresholds. a / b is the time of a divided by the time of b."
    ),
    tables=(engine_tables,),
)
