"""The plot of a round's time, by method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.format import duration
from bench.labels import METHODS, label
from bench.paper import BATCH, is_zo
from bench.records.record import Metric
from bench.records.record_index import Results
from bench.report.costs import ROUND, STEP, Figure
from bench.report.opponents import opponents_of
from bench.report.plots.style import Plot, look, panel
from bench.report.table import count_range, whiskers

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_Bar = tuple[int, str, Metric]  # batch, method, time


def time_plots(results: Results) -> list[Plot]:
    """Draw the time of a round by method, a plot for each model; of a step without the batch."""
    plots = (_time_plot(results, model) for model in results.models("time"))
    return [plot for plot in plots if plot is not None]


def _time_plot(results: Results, model: str) -> Plot | None:
    figure, bars = ROUND, _bars(results, ROUND, model, [BATCH], _opponents(results, model))
    if not bars:
        batches = results.batches("time", model)
        figure, bars = STEP, _bars(results, STEP, model, batches, list(METHODS))
    if not bars:
        return None
    words = f"{figure.name.capitalize()}, log"
    with panel(label(model), words, "") as (drawn, axes):
        _draw_times(axes, bars)
    n = count_range(metric.n for _, _, metric in bars)
    values = (f"{label(m)}, batch {b}: {duration(metric.value or 0)}" for b, m, metric in bars)
    return Plot(
        name=f"time-{model}",
        caption=(
            f"{label(model)}, {figure.name}, by method and batch: median of n = {n} repeats,"
            " whiskers from the 5th to the 95th percentile."
        ),
        alt="; ".join(values),
        figure=drawn,
    )


def _opponents(results: Results, model: str) -> list[str]:
    return [method for pair in opponents_of(results, model) for method in pair.methods]


def _bars(
    results: Results, figure: Figure, model: str, batches: Sequence[int], methods: Sequence[str]
) -> list[_Bar]:
    return [
        (batch, method, metric)
        for batch in batches
        for method in methods
        if (metric := figure.found(results, model, method, batch)) is not None
    ]


def _draw_times(axes: Axes, bars: Sequence[_Bar]) -> None:
    batches = list(dict.fromkeys(batch for batch, _, _ in bars))
    rows = [row + 0.5 * batches.index(batch) for row, (batch, _, _) in enumerate(bars)]
    for row, (_, method, metric) in zip(rows, bars, strict=True):
        style, value = look(_kind(method)), metric.value or 0.0
        low, high, _ = whiskers(metric)
        axes.barh(row, value, height=0.7, color="white", edgecolor=style.color, hatch=style.hatch)
        axes.errorbar(
            *(value, row), xerr=[[value - low], [high - value]], fmt="none", ecolor="#555555"
        )
        axes.annotate(
            duration(value), (high, row), xytext=(5, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(rows, [f"{_two_lines(method)}, {batch}" for batch, method, _ in bars])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xscale("log")
    smallest, largest = (f(m.value or 1.0 for _, _, m in bars) for f in (min, max))
    axes.set_xlim(smallest / 4, largest * 8)
    axes.xaxis.set_major_formatter(
        lambda value, _: f"{value:g} s" if value >= 1 else f"{1e3 * value:g} ms"
    )
    axes.minorticks_off()


def _kind(method: str) -> str:
    """Return the plain method whose look a variant has."""
    return method if method in METHODS else "zo" if is_zo(method) else "fedavg"


def _two_lines(method: str) -> str:
    return label(method).replace(", ", ",\n", 1)
