"""The frontier: every training variant as a point, and the cheapest one for each target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from bench.format import MISSING, duration, percent, significant, size
from bench.labels import STEP_VARIANTS, label
from bench.records.frontier import (
    FAMILIES,
    TARGETS,
    MeanPoint,
    Point,
    memory_steps,
    panels_of,
    pareto,
    points_of,
    short_runs,
    title_of,
)
from bench.records.record_index import Results
from bench.report.section import Section
from bench.report.table import Cell, Table

_Column = TypeVar("_Column", str, Cell)
_FRONTS: dict[str, Callable[[Point], tuple[float, ...]]] = {
    "memory": lambda p: (p.low_bytes,),
    "time": lambda p: (p.last.seconds,),
    "bytes": lambda p: (p.last.bytes_a_client,),
    "all three": lambda p: (p.low_bytes, p.last.seconds, p.last.bytes_a_client),
}
_BY = dict(
    zip(
        FAMILIES,
        ("without low-resource clients", "with ZO", "with ZO and backprop", "with backprop"),
        strict=True,
    )
)


def name_of(point: Point) -> str:
    """Write a point's method, and the variant of its steps unless that is the plain one."""
    method = point.label or label(point.variant)
    return method if point.way == "plain" else f"{method} ({STEP_VARIANTS[point.way]})"


def sample_of(point: Point) -> str:
    """Write a point's rounds and seeds."""
    return f"{point.rounds} rounds, n = {point.seeds}"


def frontier_sentences(results: Results) -> list[str]:
    """Name the best training under each memory budget of a low-resource client."""
    return [
        f"Best accuracy at {title_of(panel)} by memory of a low-resource client: "
        f"{'; '.join(_best_by_memory(points_of(results, panel)))}."
        for panel in panels_of(results)
    ]


def _best_by_memory(points: Sequence[Point]) -> list[str]:
    """Name the best training at each budget that admits a better one."""
    rises: list[tuple[float, Point]] = []
    for budget, best in memory_steps(points):
        if not rises or best.last.accuracy > rises[-1][1].last.accuracy:
            rises.append((budget, best))
    return [
        f"from {size(budget)}: {percent(best.last.accuracy)} {_BY[best.family]} ({name_of(best)},"
        f" {sample_of(best)})"
        for budget, best in rises
    ]


def frontier_tables(results: Results) -> list[Table]:
    """Tabulate each split's points, and the least that each target takes."""
    return [
        table
        for panel in panels_of(results)
        for points, short in [(points_of(results, panel), short_runs(results, panel))]
        for table in (
            _points_table(panel, points),
            _targets_table(panel, points),
            *([_short_table(panel, short)] if short else []),
        )
    ]


def _points_table(panel: str, points: Sequence[Point]) -> Table:
    return _table(
        f"Every method at {title_of(panel)}, by its lowest memory; a, b, c are variants"
        " that take the same steps. Pareto-optimal in: no other point"
        " is at least as good in it and in accuracy",
        points,
        {name: pareto(points, costs) for name, costs in _FRONTS.items()},
    )


def _short_table(panel: str, points: Sequence[Point]) -> Table:
    caption = f"Short runs at {title_of(panel)}, not compared: they have fewer rounds"
    return replace(_table(caption, points, {}), folded=True)


def _table(caption: str, points: Sequence[Point], fronts: dict[str, set[str]]) -> Table:
    return Table(
        caption=caption,
        columns=(
            *("No.", "Method", "Low-resource client", "High-resource client"),
            *("Time of the run", "Bytes per client", *_energy(points, "Joules")),
            *("Accuracy", "Pareto-optimal in", "Record"),
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
        Cell(name_of(point), sample_of(point)),
        Cell(size(point.low_bytes) if point.low_bytes else "takes no part"),
        Cell(size(point.high_bytes) if point.high_bytes else MISSING),
        Cell(duration(last.seconds)),
        Cell(size(last.bytes_a_client)),
        *_energy(points, Cell(MISSING if last.joules is None else significant(last.joules))),
        Cell(percent(last.accuracy)),
        Cell(", ".join(on) or MISSING),
        Cell(point.case),
    )


def _targets_table(panel: str, points: Sequence[Point]) -> Table:
    return Table(
        caption=f"The least that each accuracy takes at {title_of(panel)}, and the method’s number",
        columns=("Accuracy", "Memory", "Time", "Bytes per client", *_energy(points, "Joules")),
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
    reached: Sequence[tuple[Point, MeanPoint]],
    cost: Callable[[Point, MeanPoint], float],
    write: Callable[[float], str],
) -> Cell:
    if not reached:
        return Cell(MISSING)
    point, moment = min(reached, key=lambda pair: cost(*pair))
    return Cell(write(cost(point, moment)), f"(No. {point.number})")


SECTION = Section(
    group="frontier",
    title="Accuracy under a memory budget",
    lead=(
        "Every training of the accuracy section, or on a data set from files, in each variant of"
        " its steps. The budget is that of a low-resource client; the table lists what"
        " high-resource clients need. Time is that of the rounds in sequence, each as long as one"
        " client’s work, without links. Figures are means over the n seeds, without intervals. Runs"
        " with fewer rounds than ZOWarmUp are not compared; they have a table of their own."
    ),
    sentences=(frontier_sentences,),
    tables=(frontier_tables,),
    definitions={
        "Memory, time and joules of a method": (
            "One client of each group in a real round of each phase: live tensors at torch’s"
            " dispatcher while it computes its update, weights and data included; wall time of"
            " that and of applying the result, one thread, in another pass. Joules only where the"
            " machine has a counter."
        )
    },
    command="zobench run --only accuracy,frontier",
    threads=1,
)
