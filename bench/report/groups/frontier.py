"""The frontier: every training variant as a point, and the cheapest one for each target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from bench.format import MISSING, format_bytes, format_number, format_percent, format_seconds
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
    steps = "" if point.step_variant == "plain" else f" ({STEP_VARIANTS[point.step_variant]})"
    return method + steps


def sample_of(point: Point) -> str:
    """Write a point's rounds and seeds."""
    return f"{point.rounds} rounds, n = {point.seeds}"


def process_bytes(results: Results) -> float | None:
    """Return what a process needs before its tensors: baselines of memory cases, less tensors.

    Returns:
        The smallest one, in bytes; None where no memory case of the CPU was measured.
    """
    found = []
    for record in results.group("memory"):
        names = ("baseline", "tensor_peak", "tensor_peak_above_baseline")
        baseline, peak, above = (results.value(record.case, name) for name in names)
        if baseline is not None and peak is not None and above is not None:
            found.append(baseline - (peak - above))
    return min(found, default=None)


def frontier_sentences(results: Results) -> list[str]:
    """Name the best training under each memory budget of a low-resource client."""
    return [
        f"Best accuracy at {title_of(panel)}, by the memory of a low-resource client: "
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
        f"{format_percent(best.last.accuracy)}{f' from {format_bytes(budget)}' if budget else ''}"
        f" {_BY[best.family]} ({name_of(best)}, {sample_of(best)})"
        for budget, best in rises
    ]


def frontier_tables(results: Results) -> list[Table]:
    """Tabulate each split's points, and the least that each target takes."""
    return [
        table
        for panel in panels_of(results)
        for points, short in [(points_of(results, panel), short_runs(results, panel))]
        for table in (
            _points_table(results, panel, points),
            _targets_table(panel, points),
            *([_short_table(results, panel, short)] if short else []),
        )
    ]


def _points_table(results: Results, panel: str, points: Sequence[Point]) -> Table:
    return _table(
        results,
        f"Every method at {title_of(panel)}, by its lowest memory; a, b, c are variants"
        " that take the same steps. Pareto-optimal in: no other point"
        " is at least as good in it and in accuracy",
        points,
        {name: pareto(points, costs) for name, costs in _FRONTS.items()},
    )


def _short_table(results: Results, panel: str, points: Sequence[Point]) -> Table:
    caption = f"Short runs at {title_of(panel)}, not compared: they have fewer rounds"
    return replace(_table(results, caption, points, {}), folded=True)


def _table(
    results: Results, caption: str, points: Sequence[Point], fronts: dict[str, set[str]]
) -> Table:
    base = process_bytes(results)
    return Table(
        caption=caption,
        columns=(
            *("No.", "Method", "Low-resource client", *_whole(base, "Whole process")),
            "High-resource client",
            *("Time of the run", "Bytes per client", *_energy(points, "Joules")),
            *("Accuracy", "Pareto-optimal in"),
        ),
        rows=tuple(_point_row(point, fronts, points, base) for point in points),
        labels=2,
    )


def _whole(base: float | None, column: _Column) -> tuple[_Column, ...]:
    """Keep the column of the whole process where its libraries were measured."""
    return () if base is None else (column,)


def _energy(points: Sequence[Point], column: _Column) -> tuple[_Column, ...]:
    """Keep the column of joules where any of the points has them."""
    return (column,) if any(point.last.joules is not None for point in points) else ()


def _point_row(
    point: Point, fronts: dict[str, set[str]], points: Sequence[Point], base: float | None
) -> tuple[Cell, ...]:
    on = [name for name, numbers in fronts.items() if point.number in numbers]
    last = point.last
    return (
        Cell(point.number),
        Cell(name_of(point), sample_of(point)),
        Cell(format_bytes(point.low_bytes) if point.low_bytes else "takes no part"),
        *_whole(
            base,
            Cell(format_bytes((base or 0.0) + point.low_bytes) if point.low_bytes else MISSING),
        ),
        Cell(format_bytes(point.high_bytes) if point.high_bytes else MISSING),
        Cell(format_seconds(last.seconds)),
        Cell(format_bytes(last.bytes_a_client)),
        *_energy(points, Cell(MISSING if last.joules is None else format_number(last.joules))),
        Cell(format_percent(last.accuracy)),
        Cell(", ".join(on) or MISSING),
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
        Cell(format_percent(target)),
        _least(
            reached,
            lambda p, _: p.low_bytes,
            lambda value: format_bytes(value) if value else "none",
        ),
        _least(reached, lambda _, moment: moment.seconds, format_seconds),
        _least(reached, lambda _, moment: moment.bytes_a_client, format_bytes),
        *_energy(points, _least(with_joules, lambda _, m: m.joules or 0.0, format_number)),
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
    short="Accuracy by budget",
    lead=(
        "Each point is a training of the accuracy section, or on a data set from files, with one"
        " variant of its steps. The memory budget is that of a low-resource client; the table also"
        " lists what high-resource clients need. Time is the sum of the rounds, each as long as one"
        " client’s work, without network time. Figures are means over n seeds, without intervals."
        " Runs with fewer rounds than ZOWarmUp are not compared; they have their own table."
    ),
    sentences=(frontier_sentences,),
    tables=(frontier_tables,),
    definitions={
        "Memory, time and joules of a method": (
            "One client of each group in a real round of each phase: live tensors at torch’s"
            " dispatcher while it computes its update, weights and data included; wall time of"
            " that and of applying the result, one thread, in another pass. Joules only where the"
            " machine has a counter. The whole process adds the libraries: the smallest baseline"
            " of the memory cases, less its tensors."
        )
    },
    command="zobench run --only accuracy,frontier",
    threads=1,
)
