"""Charts of the best accuracy under each memory budget, and under each byte budget.

The variants of one method reach the same accuracy, so they lie on one line with one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from bench.format import format_bytes, format_percent
from bench.labels import label
from bench.records.frontier import (
    FAMILIES,
    Point,
    byte_steps,
    memory_steps,
    panels_of,
    points_of,
    title_of,
)
from bench.records.record_index import Results
from bench.report.groups.frontier import name_of, process_bytes, sample_of
from bench.report.plots.byte_axis import byte_ticks, set_byte_axis
from bench.report.plots.style import Look, Plot, hover, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS = dict(
    zip(
        FAMILIES,
        (
            Look(color="#000000", marker="s", line=""),
            Look(color="#0072B2", marker="^", line=""),
            Look(color="#009E73", marker="D", line=""),
            Look(color="#D55E00", marker="o", line=""),
        ),
        strict=True,
    )
)
_WORDS = dict(
    zip(FAMILIES, ("take no part", "use forwards (ZO)", "use both", "use backprop"), strict=True)
)
_SIZE_INCH = (5.2, 4.6)
_TICK_FONT = 8.5
_FEW, _LABEL_FONTS = 8, (8.5, 6.5)  # up to so many labels have the larger font
_LABEL_GAP = 5.5  # percentage points that a label's height takes on the accuracy axis
_LOWEST, _HIGHEST = 0.0, 105.0


def budget_plots(results: Results) -> list[Plot]:
    """Draw both charts of each panel that has points."""
    return [
        plot
        for name in panels_of(results)
        if (points := points_of(results, name))
        for plot in (_memory_plot(results, name, points), _bytes_plot(name, points))
    ]


def _memory_plot(results: Results, name: str, points: Sequence[Point]) -> Plot:
    steps = memory_steps(points)
    labels = (_title(name), "Memory of a low-resource client", "Test accuracy (%)")
    with panel(*labels, _SIZE_INCH) as (figure, axes):
        known = [p.low_bytes for p in points if p.low_bytes]
        low, high = (min(known), max(known)) if known else (1.0, 2.0)
        none = low / 2  # the position of those without low-resource clients
        end = high * 1.3
        caps = [max(cap, none) for cap, _ in steps]
        _staircase(axes, caps, [point.last.accuracy for _, point in steps], end)
        _draw(axes, points, [max(p.low_bytes, none) for p in points])
        axes.set_xscale("log", base=2)
        axes.set_xlim(none / 1.5, end)
        ticks = [none, *byte_ticks(0.8 * low, end)]
        axes.set_xticks(ticks, ["none", *map(format_bytes, ticks[1:])], fontsize=_TICK_FONT)
        axes.minorticks_off()
        _finish(figure, axes)
    return Plot(
        name=f"fits-memory-{name}",
        caption=(
            "Thick line: the best final accuracy under each memory budget of a low-resource client."
            " Numbers are those of the table; a method’s variants lie on its line. Memory counts"
            f" the tensors of a round, weights and data included.{_libraries(results)}"
        ),
        alt="; ".join(
            f"from {format_bytes(cap)} {format_percent(p.last.accuracy)} by {name_of(p)}"
            for cap, p in steps
        ),
        figure=figure,
    )


def _libraries(results: Results) -> str:
    """Say what a board needs next to the tensors; nothing where no process was measured."""
    found = process_bytes(results)
    return (
        f" The process itself needs about {format_bytes(found)} more, mostly libraries."
        if found
        else ""
    )


def _bytes_plot(name: str, points: Sequence[Point]) -> Plot:
    steps = byte_steps(points)
    # a variant of the steps changes no byte
    plain = [point for point in points if point.step_variant == "plain"]
    labels = (_title(name), "Bytes per client, up and down", "Test accuracy (%)")
    with panel(*labels, _SIZE_INCH) as (figure, axes):
        end = 1.3 * max(point.last.bytes_a_client for point in points)
        _staircase(axes, [spent for spent, _, _ in steps], [a for _, a, _ in steps], end)
        _draw(axes, plain, [point.last.bytes_a_client for point in plain])
        axes.set_xlim(min(spent for spent, _, _ in steps) / 1.4, end)
        set_byte_axis(axes, fontsize=_TICK_FONT)
        _finish(figure, axes)
    return Plot(
        name=f"fits-bytes-{name}",
        caption=(
            "Thick line: the best accuracy at any evaluation within each byte budget, hand-over"
            " and catch-up included. Marks are the ends of the runs."
        ),
        alt="; ".join(
            f"from {format_bytes(b)} {format_percent(a)} by {name_of(p)}" for b, a, p in steps
        ),
        figure=figure,
    )


def _staircase(axes: Axes, x: Sequence[float], shares: Sequence[float], end: float) -> None:
    heights = [100 * share for share in shares]
    axes.step([*x, end], [*heights, heights[-1]], where="post", color="#555555", lw=2.2)


def _draw(axes: Axes, points: Sequence[Point], x: Sequence[float]) -> None:
    for family, look in _LOOKS.items():
        chosen = [(at, p) for at, p in zip(x, points, strict=True) if p.family == family]
        for _, alike in groupby(chosen, key=lambda mark: mark[1].variant):
            marks = list(alike)
            axes.plot(
                [at for at, _ in marks],
                [100 * p.last.accuracy for _, p in marks],
                color=look.color,
                lw=0.7,
            )
        if chosen:
            axes.plot(
                [at for at, _ in chosen],
                [100 * p.last.accuracy for _, p in chosen],
                look.marker,
                label=f"low-resource clients {_WORDS[family]}",
                color=look.color,
                markersize=5,
                markerfacecolor="none",
                linestyle="none",
            )
    for at, point in zip(x, points, strict=True):
        hover(axes, at, 100 * point.last.accuracy, _words(point))
    _label(axes, list(zip(x, points, strict=True)))


def _words(point: Point) -> str:
    memory = format_bytes(point.low_bytes) if point.low_bytes else "no memory"
    return (
        f"{name_of(point)}: {format_percent(point.last.accuracy)}, {memory} of tensors,"
        f" {format_bytes(point.last.bytes_a_client)} per client, {sample_of(point)}"
    )


def _label(axes: Axes, marks: Sequence[tuple[float, Point]]) -> None:
    """Name each method next to the axes, with a line to its rightmost mark."""
    outermost: dict[str, tuple[float, Point]] = {}
    for mark in sorted(marks, key=lambda each: each[0]):
        outermost[mark[1].variant] = mark
    ends = sorted(outermost.values(), key=lambda mark: mark[1].last.accuracy)
    heights = spread([100 * p.last.accuracy for _, p in ends], _LABEL_GAP, _LOWEST, _HIGHEST)
    font = _LABEL_FONTS[len(ends) > _FEW]
    for (x, point), height in zip(ends, heights, strict=True):
        axes.annotate(
            f"{point.number.rstrip('abcdefgh')} {label(point.variant)}",
            (x, 100 * point.last.accuracy),
            xytext=(1.02, height),
            textcoords=axes.get_yaxis_transform(),
            ha="left",
            va="center",
            fontsize=font,
            arrowprops={
                **{"arrowstyle": "-", "color": "#999999", "lw": 0.5},
                **{"shrinkA": 0, "shrinkB": 2, "relpos": (0.0, 0.5)},
            },
        )


def spread(heights: Sequence[float], gap: float, lowest: float, highest: float) -> list[float]:
    """Move ascending heights as little apart as it takes for a gap between any two of them.

    >>> spread([10.0, 11.0, 50.0, 99.0, 100.0], 4.0, 0.0, 100.0)
    [8.5, 12.5, 50.0, 96.0, 100.0]
    """
    groups: list[tuple[float, int]] = []  # centre, how many labels it holds
    for height in heights:
        groups.append((min(max(height, lowest), highest), 1))
        while len(groups) > 1 and _touch(groups[-2], groups[-1], gap):
            (below, m), (above, n) = groups[-2:]
            half = gap * (m + n - 1) / 2
            centre = (below * m + above * n) / (m + n)
            groups[-2:] = [(max(lowest + half, min(centre, highest - half)), m + n)]
    return [centre + gap * (i - (n - 1) / 2) for centre, n in groups for i in range(n)]


def _touch(below: tuple[float, int], above: tuple[float, int], gap: float) -> bool:
    (low, m), (high, n) = below, above
    return high - low < gap * (m + n) / 2


def _finish(figure: Figure, axes: Axes) -> None:
    axes.set_ylim(_LOWEST, _HIGHEST)
    figure.legend(loc="outside lower center", fontsize=8.5)


def _title(name: str) -> str:
    *dataset, split = title_of(name).split(", ")
    high, low = split.split("/")
    return "\n".join([*dataset, f"{high} % high-, {low} % low-resource"])
