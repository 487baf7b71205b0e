"""The plot of a round's bytes, by method and link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.format import size
from bench.labels import label
from bench.records.case_name import CaseName
from bench.records.record_index import Results
from bench.report.plots.style import Plot, look, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINKS = ("up", "down")
# Levels drawn as marks next to the payload, which is the bar: words and marker.
_LEVELS = {"scalars": ("scalars", "o"), "message": ("message", "s"), "wire": ("wire", "D")}


def bytes_plots(results: Results) -> list[Plot]:
    """Draw a client's bytes in a round on a logarithmic axis, a plot for each model."""
    plots = (_bytes_plot(results, model) for model in results.models("bytes"))
    return [plot for plot in plots if plot is not None]


def _bytes_plot(results: Results, model: str) -> Plot | None:
    bars = [
        (method, link, value)
        for method in ("fedavg", "zo")
        for link in _LINKS
        if (value := results.value(CaseName.bytes(model, method), f"{link}_payload"))
    ]
    if not bars:
        return None
    with panel(label(model), "Bytes per client per round (logarithmic)", "") as (figure, axes):
        _draw_bars(axes, bars)
        _draw_levels(axes, results, model, bars)
    return Plot(
        name=f"bytes-{model}",
        caption=(
            f"{label(model)}: bars and figures are the encoded payload of one round, exact (n = 1);"
            " marks are the other levels that were counted."
        ),
        alt="; ".join(f"{label(method)} {link}: {size(value)}" for method, link, value in bars),
        figure=figure,
    )


def _draw_levels(
    axes: Axes, results: Results, model: str, bars: list[tuple[str, str, float]]
) -> None:
    for level, (words, marker) in _LEVELS.items():
        points = [
            (value, row)
            for row, (method, link, _) in enumerate(bars)
            if (value := results.value(CaseName.bytes(model, method), f"{link}_{level}"))
        ]
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, marker, color="#555555", markersize=6, label=words)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right")


def _draw_bars(axes: Axes, bars: list[tuple[str, str, float]]) -> None:
    for row, (method, _, value) in enumerate(bars):
        style = look(method)
        axes.barh(row, value, height=0.66, color="white", edgecolor=style.color, hatch=style.hatch)
        axes.annotate(
            size(value), (value, row), xytext=(6, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(bars)), [f"{label(method)} {link}" for method, link, _ in bars])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xscale("log", base=2)
    axes.set_xlim(1, 64 * max(value for _, _, value in bars))  # leaves room for the last label
    ticks = [unit for unit in (1, 1 << 10, 1 << 20, 1 << 30) if unit < axes.get_xlim()[1]]
    axes.set_xticks(ticks, [size(tick) for tick in ticks])
    axes.minorticks_off()
