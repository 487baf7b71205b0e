"""The plot of a step's peak memory against the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.format import MIB, format_bytes
from bench.labels import METHODS, label, method_label
from bench.paper import BATCH
from bench.records.case_name import CaseName
from bench.records.details.formulas import Table1Details
from bench.records.record import Metric
from bench.records.record_index import Results
from bench.records.step_memory import HOST, step_memory
from bench.report.bars import hover_text
from bench.report.costs import memory_figure
from bench.report.opponents import PLAIN, opponents_of
from bench.report.plots.style import Plot, hover, look, panel
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
_SIZE_INCH = (4.4, 4.2)


def memory_plots(results: Results) -> list[Plot]:
    """Draw peak memory above the baseline against the batch, a plot for each model."""
    plots = (_memory_plot(results, model) for model in results.models("memory"))
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
    values = [metric.value or 0.0 for series in measured.values() for metric in series.values()]
    if max(values, default=0.0) <= step_memory(results).resolution_bytes:
        return None  # nothing, or nothing but the meter's noise
    memory = step_memory(results).name
    height = f"Peak {memory}{' ' if step_memory(results) is HOST else chr(10)}above baseline (MiB)"
    with panel(label(model), "Batch (images)", height, _SIZE_INCH) as (figure, axes):
        for method, series in measured.items():
            _draw_measured(axes, method, series)
        _draw_least(axes, results, model)
        has_formulas = model == "resnet18" and _draw_formulas(axes, results, max(batches))
        axes.set_xticks(batches)
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside lower center", ncols=2, fontsize=7.5)
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
    weights = format_bytes(FLOAT_BYTES * resnet18_parameters())
    return (
        f"{caption} Thin lines: the paper’s formulas, less one copy of the weights ({weights}),"
        " which was loaded before the region and is part of the measured baseline."
    )


def _measured(results: Results, model: str, method: str) -> dict[int, Metric]:
    found = {
        batch: results.metric(CaseName.memory(model, method, batch), step_memory(results).above)
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
        label=method_label(method),
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
    for (batch, metric), value in zip(series.items(), values, strict=True):
        hover(
            axes,
            batch,
            value,
            hover_text(f"{method_label(method)}, batch {batch}", metric, format_bytes),
        )


def _draw_least(axes: Axes, results: Results, model: str) -> None:
    """Mark the most memory-efficient steps at the paper's batch."""
    for opponents in opponents_of(results, model)[1:]:
        for method, plain in zip(opponents.methods, PLAIN.methods, strict=True):
            above = memory_figure(results).value(results, model, method, BATCH)
            if above is not None and method != plain:
                axes.plot(
                    [BATCH],
                    [above / MIB],
                    label=method_label(method),
                    color=look(plain).color,
                    marker="*",
                    markersize=11,
                    linestyle="",
                )


def _draw_formulas(axes: Axes, results: Results, largest_batch: int) -> bool:
    """Draw the formulas' lines up to the largest measured batch; False where there are none."""
    record = results.record(CaseName.of("formulas", "table1"))
    details = record.details_as(Table1Details) if record else None
    predictions = details.predictions if details else ()
    for key, (words, method, dashes) in _FORMULAS.items():
        line = sorted(
            (row.batch, formula_above_weights(row.bytes) / MIB)
            for row in predictions
            if row.method == key and row.batch <= largest_batch
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
