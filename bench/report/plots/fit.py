"""The chart of what fits: a step's whole process against the memory of boards or of the GPU."""

from __future__ import annotations

from collections.abc import Sequence

from bench.boards import Memory
from bench.format import format_bytes
from bench.labels import METHODS, SAME_STEP_METHODS, label, method_label
from bench.paper import BATCH
from bench.records.record_index import Results
from bench.records.step_memory import HOST, step_memory
from bench.report.bars import Bar, BarChart, LimitControl, Line, Mark, hover_text, kind_of
from bench.report.costs import Figure, whole_figure
from bench.report.memories import TONES, memories_of, smallest_that_fits

_ROOM = 1.04  # the axis ends so far beyond the largest bar or the memory that holds it
_MOST_EMPTY = 3  # times the largest bar


def fit_charts(results: Results) -> list[BarChart]:
    """Draw each model's steps at the paper's batch, or at the largest one."""
    memories = memories_of(results)
    charts = [_chart(results, model, memories) for model in results.models("memory") if memories]
    return [chart for chart in charts if chart.bars]


def _chart(results: Results, model: str, memories: Sequence[Memory]) -> BarChart:
    figure, batch = whole_figure(results), chart_batch(results, model)
    peaks = {
        method: peak
        for method in (*METHODS, *SAME_STEP_METHODS)
        if (peak := figure.value(results, model, method, batch)) is not None
    }
    smallest = memories[0]
    reserve = smallest.reserve_bytes
    end = _axis_end(memories, max(peaks.values(), default=0.0))
    return BarChart(
        model=label(model),
        caption=f"{label(model)}, batch {batch}: {_whole(results)}",
        bars=tuple(_bar(results, (figure, model, batch), m, smallest, end) for m in peaks),
        lines=tuple(
            Line(at=memory.memory_bytes / end, words=memory.name)
            for memory in memories
            if memory.memory_bytes <= end
        ),
        legend=_legend(reserve),
        control=LimitControl(
            limit_bytes=smallest.memory_bytes,
            reserve_bytes=reserve,
            axis_bytes=end,
            owner="board" if step_memory(results) is HOST else "GPU",
        ),
    )


def _axis_end(memories: Sequence[Memory], largest: float) -> int:
    """End the axis at the memory that holds the largest bar, unless the bars would be too short."""
    needed = largest + memories[0].reserve_bytes
    enough = smallest_that_fits(memories, largest)
    if enough is None or enough.memory_bytes > _MOST_EMPTY * needed:
        return round(_ROOM * needed)
    return round(_ROOM * max(needed, enough.memory_bytes))


def chart_batch(results: Results, model: str) -> int:
    """Return the batch that a model's charts show: the paper's, or the largest."""
    batches = results.batches("memory", model)
    return BATCH if BATCH in batches else max(batches)


def _bar(
    results: Results, step: tuple[Figure, str, int], method: str, memory: Memory, end: int
) -> Bar:
    figure, model, batch = step
    metric = figure.found(results, model, method, batch)
    peak = (metric.value if metric else None) or 0.0
    kind, start = kind_of(method), memory.reserve_bytes / end
    words = hover_text(method_label(method), metric, format_bytes) if metric else ""
    verdict = memory.verdict(peak)
    system = Mark(kind="system", start=0.0, width=start, hover="operating system")
    return Bar(
        name=method_label(method),
        kind=kind,
        marks=(
            *((system,) if start else ()),
            Mark(kind=kind, start=start, width=peak / end, hover=words),
        ),
        text=format_bytes(peak),
        detail=verdict.value,
        tone=TONES[verdict],
        amount=round(peak),
    )


def _whole(results: Results) -> str:
    words = step_memory(results).whole_name
    return words[0].lower() + words[1:]


def _legend(reserve: int) -> tuple[tuple[str, str], ...]:
    tight = ("tight-bar", "tight: less than 10 % to spare")
    if not reserve:
        return (tight,)
    return (("system", f"operating system, {format_bytes(reserve)}"), tight)
