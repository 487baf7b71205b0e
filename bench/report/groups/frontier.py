"""The frontier's tables: every point with its record, and the cheapest way to each target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from bench.format import MISSING, duration, percent, significant, size
from bench.records.frontier import TARGETS, Moment, Point, panels_of, pareto, points_of, title_of
from bench.records.record_index import Results
from bench.report.groups.frontier_sentences import name_of
from bench.report.table import Cell, Table

_Column = TypeVar("_Column", str, Cell)
_FRONTS: dict[str, Callable[[Point], tuple[float, ...]]] = {
    "memory": lambda p: (p.low_bytes,),
    "time": lambda p: (p.last.seconds,),
    "bytes": lambda p: (p.last.bytes_a_client,),
    "all three": lambda p: (p.low_bytes, p.last.seconds, p.last.bytes_a_client),
}


def frontier_tables(results: Results) -> list[Table]:
    """Tabulate each split's points, and what a target takes at least."""
    found = {panel: points_of(results, panel) for panel in panels_of(results)}
    return [
        table
        for panel, points in found.items()
        for table in (_points_table(panel, points), _targets_table(panel, points))
    ]


def _points_table(panel: str, points: Sequence[Point]) -> Table:
    fronts = {name: pareto(points, costs) for name, costs in _FRONTS.items()}
    return Table(
        caption=(
            f"Every method at {title_of(panel)}, by the least memory of its ways; a, b, c are ways"
            " to take the same steps. On the front of: no other point is at least as good in it and"
            " in accuracy"
        ),
        columns=(
            *("No.", "Method", "Low-resource client", "High-resource client", "Rounds"),
            *("Time of the run", "Bytes a client", *_energy(points, "Joules")),
            *("Accuracy", "On the front of", "Record"),
        ),
        rows=tuple(_point_row(point, fronts, points) for point in points),
        labels=2,
    )


def _energy(points: Sequence[Point], column: _Column) -> tuple[_Column, ...]:
    """Keep the column of joules where any of the points has them."""
    return (column,) if any(point.last.joules is not None for point in points) else ()


def _point_row(
    point: Point, fronts: dict[str, set[str]], points: Sequence[Point]
) -> tuple[Cell, ...]:
    on = [name for name, numbers in fronts.items() if point.number in numbers]
    last = point.last
    return (
        Cell(point.number),
        Cell(name_of(point)),
        Cell(size(point.low_bytes) if point.low_bytes else "takes no part"),
        Cell(size(point.high_bytes) if point.high_bytes else MISSING),
        Cell(str(point.rounds)),
        Cell(duration(last.seconds)),
        Cell(size(last.bytes_a_client)),
        *_energy(points, Cell(MISSING if last.joules is None else significant(last.joules))),
        Cell(percent(last.accuracy)),
        Cell(", ".join(on) or MISSING),
        Cell(point.case),
    )


def _targets_table(panel: str, points: Sequence[Point]) -> Table:
    return Table(
        caption=(
            f"What a test accuracy takes at least at {title_of(panel)}, and by which method’s"
            " number"
        ),
        columns=("Accuracy", "Memory", "Time", "Bytes a client", *_energy(points, "Joules")),
        rows=tuple(_target_row(points, target) for target in TARGETS),
        labels=1,
    )


def _target_row(points: Sequence[Point], target: float) -> tuple[Cell, ...]:
    reached = [(p, moment) for p in points if (moment := p.reaches(target)) is not None]
    with_joules = [(p, m) for p, m in reached if m.joules is not None]
    return (
        Cell(percent(target)),
        _least(reached, lambda p, _: p.low_bytes, lambda value: size(value) if value else "none"),
        _least(reached, lambda _, moment: moment.seconds, duration),
        _least(reached, lambda _, moment: moment.bytes_a_client, size),
        *_energy(points, _least(with_joules, lambda _, m: m.joules or 0.0, significant)),
    )


def _least(
    reached: Sequence[tuple[Point, Moment]],
    cost: Callable[[Point, Moment], float],
    write: Callable[[float], str],
) -> Cell:
    if not reached:
        return Cell(MISSING)
    point, moment = min(reached, key=lambda pair: cost(*pair))
    return Cell(write(cost(point, moment)), f"(No. {point.number})")
