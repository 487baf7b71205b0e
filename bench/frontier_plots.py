"""Charts of what fits: the best accuracy under each memory cap, and under each byte cap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bench.frontier import FAMILIES, Point, byte_steps, memory_steps, points_of, splits_of
from bench.frontier_statements import name_of
from bench.plot_style import Look, Plot, panel
from bench.results import Results
from bench.text import percent, size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS = dict(
    zip(
        FAMILIES,
        (
            Look(color="#000000", marker="s", line="", hatch=""),
            Look(color="#0072B2", marker="^", line="", hatch=""),
            Look(color="#D55E00", marker="o", line="", hatch=""),
        ),
        strict=True,
    )
)
# Where a mark's number stands: families that lie side by side must not write on one another.
_BESIDE: Any = {"xytext": (-5, 0), "ha": "right", "va": "center"}
_BELOW: Any = {"xytext": (0, -6), "ha": "center", "va": "top", "rotation": 90}
_WORDS = dict(zip(FAMILIES, ("take no part", "by forwards (ZO)", "by backprop"), strict=True))


def cap_plots(results: Results) -> list[Plot]:
    """Draw both charts of each split that has points."""
    return [
        plot
        for split in splits_of(results)
        if (points := points_of(results, split))
        for plot in (_memory_plot(split, points), _bytes_plot(split, points))
    ]


def _memory_plot(split: str, points: Sequence[Point]) -> Plot:
    steps = memory_steps(points)
    with panel(_title(split), "Memory of a low-resource client", "Test accuracy (%)") as (
        figure,
        axes,
    ):
        known = [p.low_bytes for p in points if p.low_bytes]
        low, high = (min(known), max(known)) if known else (1.0, 2.0)
        none = low / 2  # where those stand whose low-resource clients take no part
        end = high * 1.6
        caps = [max(cap, none) for cap, _ in steps]
        accuracies = [100 * point.last.accuracy for _, point in steps]
        axes.step(
            [*caps, end], [*accuracies, accuracies[-1]], where="post", color="#555555", lw=1.2
        )
        _draw(axes, points, [max(p.low_bytes, none) for p in points])
        axes.set_xscale("log", base=2)
        axes.set_xlim(none / 1.4, end)
        ticks = [none, *(low * 2**i for i in range(8) if low * 2**i < end)]
        axes.set_xticks(ticks, ["none", *(size(round(tick)) for tick in ticks[1:])], fontsize=7.5)
        axes.minorticks_off()
        _finish(figure, axes)
    return Plot(
        name=f"fits-memory-{split}",
        caption=(
            "Line: the best final accuracy under each memory cap on a low-resource client."
            " Numbers: the table’s, together where marks lie on one another. Memory:"
            " live tensors of a round, weights and data included."
        ),
        alt="; ".join(
            f"from {size(cap)} {percent(p.last.accuracy)} by {name_of(p)}" for cap, p in steps
        ),
        figure=figure,
    )


def _bytes_plot(split: str, points: Sequence[Point]) -> Plot:
    steps = byte_steps(points)
    plain = [point for point in points if point.way == "plain"]  # a way changes no byte
    with panel(_title(split), "Bytes a client, up and down", "Test accuracy (%)") as (figure, axes):
        end = 1.6 * max(point.last.bytes_a_client for point in points)
        spent = [bytes_ for bytes_, _, _ in steps]
        accuracies = [100 * accuracy for _, accuracy, _ in steps]
        axes.step(
            [*spent, end], [*accuracies, accuracies[-1]], where="post", color="#555555", lw=1.2
        )
        _draw(axes, plain, [point.last.bytes_a_client for point in plain])
        axes.set_xscale("log", base=2)
        start = min(spent) / 1.4
        axes.set_xlim(start, end)
        ticks = [2.0**i for i in range(0, 44, 2) if start < 2.0**i < end]
        axes.set_xticks(ticks, [size(tick) for tick in ticks], fontsize=7.5)
        axes.minorticks_off()
        _finish(figure, axes)
    return Plot(
        name=f"fits-bytes-{split}",
        caption=(
            "Line: the best accuracy at any evaluation within each byte budget, hand-over and"
            " catch-up included. Marks: the runs’ ends; numbers: the table’s."
        ),
        alt="; ".join(f"from {size(b)} {percent(a)} by {name_of(p)}" for b, a, p in steps),
        figure=figure,
    )


def _draw(axes: Axes, points: Sequence[Point], x: Sequence[float]) -> None:
    for family, look in _LOOKS.items():
        chosen = [(at, p) for at, p in zip(x, points, strict=True) if p.family == family]
        if not chosen:
            continue
        axes.plot(
            [at for at, _ in chosen],
            [100 * p.last.accuracy for _, p in chosen],
            look.marker,
            label=f"low-resource clients {_WORDS[family]}",
            color=look.color,
            markersize=6,
            markerfacecolor="none",
            linestyle="none",
        )
        for at, height, numbers in _clusters(chosen):
            axes.annotate(
                numbers,
                (at, height),
                textcoords="offset points",
                fontsize=7,
                **_BESIDE if family != FAMILIES[-1] else _BELOW,
            )


def _clusters(marks: Sequence[tuple[float, Point]]) -> list[tuple[float, float, str]]:
    """Gather marks that lie on one another; give each group's place and its numbers."""
    groups: list[list[tuple[float, Point]]] = []
    for mark in sorted(marks, key=lambda each: (each[0], each[1].last.accuracy)):
        near = next((g for g in groups if _is_near(g[-1], mark)), None)
        if near is None:
            groups.append([mark])
        else:
            near.append(mark)
    return [
        (
            group[-1][0],
            100 * sum(p.last.accuracy for _, p in group) / len(group),
            ranges(p.number for _, p in group),
        )
        for group in groups
    ]


def _is_near(one: tuple[float, Point], other: tuple[float, Point]) -> bool:
    apart = 100 * abs(one[1].last.accuracy - other[1].last.accuracy)
    return max(one[0], other[0]) < 1.05 * min(one[0], other[0]) and apart < 3.5


def ranges(numbers: Iterable[int]) -> str:
    """Write numbers as ranges.

    >>> ranges([9, 3, 4, 5, 1])
    '1, 3–5, 9'
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{r[0]}–{r[-1]}" if len(r) > 1 else str(r[0]) for r in runs)


def _finish(figure: Figure, axes: Axes) -> None:
    axes.set_ylim(0, 105)
    figure.legend(loc="outside lower center", fontsize=8)


def _title(split: str) -> str:
    high, low = split.split("-")
    return f"{high} % high-, {low} % low-resource clients"
