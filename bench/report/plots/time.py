"""The plot of a step's time, by batch and method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.format import duration
from bench.labels import METHODS, label
from bench.records.case_name import CaseName
from bench.records.record import Metric
from bench.records.record_index import Results
from bench.report.plots.style import Plot, look, panel
from bench.report.table import count_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def time_plots(results: Results) -> list[Plot]:
    """Draw the time of one step by batch and method, a plot for each model."""
    plots = (_time_plot(results, model) for model in results.models("time"))
    return [plot for plot in plots if plot is not None]


def _time_plot(results: Results, model: str) -> Plot | None:
    bars = [
        (batch, method, metric)
        for batch in results.batches("time", model)
        for method in METHODS
        if (metric := results.metric(CaseName.time(model, method, batch), "step")) is not None
    ]
    if not bars:
        return None
    with panel(label(model), "Time of one step (logarithmic)", "") as (figure, axes):
        _draw_times(axes, bars)
    n = count_range(metric.n for _, _, metric in bars)
    values = (f"{label(m)}, batch {b}: {duration(metric.value or 0)}" for b, m, metric in bars)
    return Plot(
        name=f"time-{model}",
        caption=f"{label(model)}: median of n = {n} repeats, bars from smallest to largest.",
        alt="; ".join(values),
        figure=figure,
    )


def _draw_times(axes: Axes, bars: list[tuple[int, str, Metric]]) -> None:
    batches = list(dict.fromkeys(batch for batch, _, _ in bars))
    rows = [row + 0.5 * batches.index(batch) for row, (batch, _, _) in enumerate(bars)]
    for row, (_, method, metric) in zip(rows, bars, strict=True):
        style, value = look(method), metric.value or 0.0
        low, high = metric.spread or (value, value)
        axes.barh(row, value, height=0.7, color="white", edgecolor=style.color, hatch=style.hatch)
        axes.errorbar(
            *(value, row), xerr=[[value - low], [high - value]], fmt="none", ecolor="#555555"
        )
        axes.annotate(
            duration(value), (high, row), xytext=(5, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(rows, [f"{label(method)}, {batch}" for batch, method, _ in bars])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xscale("log")
    smallest, largest = (f(m.value or 1.0 for _, _, m in bars) for f in (min, max))
    axes.set_xlim(smallest / 4, largest * 8)
    axes.xaxis.set_major_formatter(
        lambda value, _: f"{value:g} s" if value >= 1 else f"{1e3 * value:g} ms"
    )
    axes.minorticks_off()
