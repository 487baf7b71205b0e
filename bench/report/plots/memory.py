"""The plots of what a step and a round cost: peak memory with the formulas' lines, and bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.format import METHODS, MIB, label, size
from bench.records.record import Metric
from bench.records.record_index import Results
from bench.records.step_memory import step_memory
from bench.report.plots.style import Plot, look, panel
from bench.report.table import count_range
from zo_core.cost_model import FLOAT_BYTES, resnet18_parameters

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The formulas' lines: words, method whose colour they share, dashes.
_FORMULAS = {
    "fedavg-paper-count": ("eq. 4, the paper’s count", "fedavg", (0, (1, 1.5))),
    "fedavg": ("eq. 4, each layer once", "fedavg", (0, (5, 2))),
    "zo": ("eq. 5, two copies of P", "zo", (0, (5, 2))),
    "zo-1P": ("eq. 5, one copy (in place)", "zo", (0, (1, 1.5))),
}
_WAYS = ("up", "down")
# The levels at which bytes are counted beside the payload, which is the bar: words and marker.
_LEVELS = {"scalars": ("scalars", "o"), "message": ("message", "s"), "wire": ("wire", "D")}


def memory_plots(results: Results) -> list[Plot]:
    """Draw peak memory above the baseline against the batch, a plot for each model."""
    plots = (_memory_plot(results, model) for model in results.models("memory"))
    return [plot for plot in plots if plot is not None]


def bytes_plots(results: Results) -> list[Plot]:
    """Draw a client's bytes in a round on a logarithmic axis, a plot for each model."""
    plots = (_bytes_plot(results, model) for model in results.models("bytes"))
    return [plot for plot in plots if plot is not None]


def formula_above_weights(formula_bytes: float) -> float:
    """Take the weights out of a formula's memory, as the measurement has them in its baseline.

    A formula counts all copies of ResNet18's P weights.  The measured region begins with the model
    loaded, so one copy is baseline: what is left is formula - 4P.
    """
    return formula_bytes - FLOAT_BYTES * resnet18_parameters()


def _memory_plot(results: Results, model: str) -> Plot | None:
    measured = {method: _measured(results, model, method) for method in METHODS}
    batches = sorted({batch for series in measured.values() for batch in series})
    if not batches:
        return None
    memory = step_memory(results).name
    height = f"Peak {memory} above baseline (MiB)"
    with panel(label(model), "Batch (images)", height) as (figure, axes):
        for method, series in measured.items():
            _draw_measured(axes, method, series)
        has_formulas = model == "resnet18" and _draw_formulas(axes, results, max(batches))
        axes.set_xticks(batches)
        top = axes.get_ylim()[1]
        axes.set_ylim(0, top * (1.2 if has_formulas else 1.0))  # room for the longer legend
        axes.legend(loc="upper left")
    n = count_range(metric.n for series in measured.values() for metric in series.values())
    return Plot(
        name=f"memory-{model}",
        caption=_memory_caption(model, n, has_formulas),
        alt=f"Peak {memory} of {label(model)} above the baseline against batch size, by method",
        figure=figure,
    )


def _memory_caption(model: str, n: str, has_formulas: bool) -> str:
    sample = f"median of n = {n} fresh processes, bars from smallest to largest"
    caption = f"{label(model)}: {'one fresh process (n = 1)' if n == '1' else sample}."
    if not has_formulas:
        return caption
    weights = size(FLOAT_BYTES * resnet18_parameters())
    return (
        f"{caption} Thin lines: the paper’s formulas, less one copy of the weights ({weights}),"
        " which was loaded before the region and is part of the measured baseline."
    )


def _measured(results: Results, model: str, method: str) -> dict[int, Metric]:
    found = {
        batch: results.metric(f"memory/{model}/{method}/b{batch}", step_memory(results).above)
        for batch in results.batches("memory", model)
    }
    return {batch: metric for batch, metric in found.items() if metric is not None}


def _draw_measured(axes: Axes, method: str, series: dict[int, Metric]) -> None:
    if not series:
        return
    values = [(metric.value or 0.0) / MIB for metric in series.values()]
    ends = [metric.spread or (metric.value, metric.value) for metric in series.values()]
    below = [value - (low or 0.0) / MIB for value, (low, _) in zip(values, ends, strict=True)]
    above = [(high or 0.0) / MIB - value for value, (_, high) in zip(values, ends, strict=True)]
    style, hollow = look(method), method == "inference"  # ZO lies on it: let it be seen through
    axes.plot(
        list(series),
        values,
        label=label(method),
        color=style.color,
        marker=style.marker,
        markersize=9 if hollow else 6,
        markerfacecolor="none" if hollow else style.color,
        linestyle=style.line,
        linewidth=1.0 if hollow else 1.8,
    )
    axes.errorbar(
        list(series), values, yerr=[below, above], fmt="none", ecolor=style.color, capsize=3
    )


def _draw_formulas(axes: Axes, results: Results, largest_batch: int) -> bool:
    """Draw the formulas' lines up to the largest measured batch; False where there are none."""
    record = results.by_case.get("formulas/table1")
    predictions = record.details.get("predictions", []) if record else []
    for key, (words, method, dashes) in _FORMULAS.items():
        line = sorted(
            (row["batch"], formula_above_weights(row["bytes"]) / MIB)
            for row in predictions
            if row["method"] == key and row["batch"] <= largest_batch
        )
        if line:
            axes.plot(
                *zip(*line, strict=True),
                label=words,
                color=look(method).color,
                linestyle=dashes,
                linewidth=1.0,
            )
    return bool(predictions)


def _bytes_plot(results: Results, model: str) -> Plot | None:
    bars = [
        (method, way, value)
        for method in ("fedavg", "zo")
        for way in _WAYS
        if (value := results.value(f"bytes/{model}/{method}", f"{way}_payload"))
    ]
    if not bars:
        return None
    with panel(label(model), "Bytes for each client and round (logarithmic)", "") as (figure, axes):
        _draw_bars(axes, bars)
        _draw_levels(axes, results, model, bars)
    return Plot(
        name=f"bytes-{model}",
        caption=(
            f"{label(model)}: bars and figures are the encoded payload of one round, exact (n = 1);"
            " marks are the other levels that were counted."
        ),
        alt="; ".join(f"{label(method)} {way}: {size(value)}" for method, way, value in bars),
        figure=figure,
    )


def _draw_levels(
    axes: Axes, results: Results, model: str, bars: list[tuple[str, str, float]]
) -> None:
    for level, (words, marker) in _LEVELS.items():
        points = [
            (value, row)
            for row, (method, way, _) in enumerate(bars)
            if (value := results.value(f"bytes/{model}/{method}", f"{way}_{level}"))
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
    axes.set_yticks(range(len(bars)), [f"{label(method)} {way}" for method, way, _ in bars])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xscale("log", base=2)
    axes.set_xlim(1, 64 * max(value for _, _, value in bars))  # leaves room for the last label
    ticks = [unit for unit in (1, 1 << 10, 1 << 20, 1 << 30) if unit < axes.get_xlim()[1]]
    axes.set_xticks(ticks, [size(tick) for tick in ticks])
    axes.minorticks_off()
