"""Plots of a step's memory: the peak against the batch, and the tensors at the peak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.format import MIB, mib, significant, size
from bench.labels import METHODS, label
from bench.paper import BATCH
from bench.records.case_name import CaseName
from bench.records.details.formulas import Table1Details
from bench.records.details.machine import MemoryDetails
from bench.records.record import Metric
from bench.records.record_index import Results
from bench.records.step_memory import HOST, step_memory
from bench.report.costs import memory_figure
from bench.report.opponents import PLAIN, opponents_of
from bench.report.plots.style import Look, Plot, look, panel
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
# What live tensors are for, from the bottom of the bar, and the words and look of each.
_CATEGORIES = {
    "parameter": ("weights", Look(color="#999999", marker="", line="", hatch="")),
    "activation": ("activations", Look(color="#56B4E9", marker="", line="", hatch="///")),
    "gradient": ("gradients", Look(color="#D55E00", marker="", line="", hatch="\\\\")),
    "activation gradient": (
        "gradients of activations",
        Look(color="#E69F00", marker="", line="", hatch="xx"),
    ),
    "optimiser": ("optimiser", Look(color="#CC79A7", marker="", line="", hatch="..")),
    "perturbation": ("perturbation", Look(color="#0072B2", marker="", line="", hatch="++")),
    "other": ("input and the rest", Look(color="#F0E442", marker="", line="", hatch="")),
}
_NARROW = 0.09  # of the widest bar: too little for a number inside


def memory_plots(results: Results) -> list[Plot]:
    """Draw peak memory above the baseline against the batch, a plot for each model."""
    plots = (_memory_plot(results, model) for model in results.models("memory"))
    return [plot for plot in plots if plot is not None]


def category_plots(results: Results) -> list[Plot]:
    """Draw the tensors at the step's peak by what they are for, a plot for each model."""
    plots = (_category_plot(results, model) for model in results.models("memory"))
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
    with panel(label(model), "Batch (images)", height) as (figure, axes):
        for method, series in measured.items():
            _draw_measured(axes, method, series)
        _draw_least(axes, results, model)
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


def _draw_least(axes: Axes, results: Results, model: str) -> None:
    """Mark the most memory-efficient steps at the paper's batch."""
    for opponents in opponents_of(results, model)[1:]:
        for method, plain in zip(opponents.methods, PLAIN.methods, strict=True):
            above = memory_figure(results).value(results, model, method, BATCH)
            if above is not None and method != plain:
                axes.plot(
                    [BATCH],
                    [above / MIB],
                    label=label(method),
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


def _category_plot(results: Results, model: str) -> Plot | None:
    by_batch = _categories(results, model)
    if not by_batch:
        return None
    batch = max(by_batch)
    stacks = {method: by_batch[batch][method] for method in METHODS if method in by_batch[batch]}
    words = f"{label(model)}, batch {batch}"
    with panel(words, "Live tensors at the peak (MiB)", "") as (figure, axes):
        _draw_stacks(axes, stacks)
    totals = ", ".join(
        f"{label(method)} {mib(sum(stack.values()))} MiB" for method, stack in stacks.items()
    )
    return Plot(
        name=f"categories-{model}",
        caption=(
            f"{words}: what the tensors are for that are alive at the step’s peak, seen at torch’s"
            " dispatcher, exact (n = 1). Kernels’ buffers and the libraries are not tensors."
        ),
        alt=f"Tensors at the peak of a step of {words}: {totals}",
        figure=figure,
    )


def _categories(results: Results, model: str) -> dict[int, dict[str, Mapping[str, int]]]:
    """Collect the tensors of a step at its peak: by batch, then by method, bytes by category."""
    found: dict[int, dict[str, Mapping[str, int]]] = {}
    for record in results.group("memory"):
        config, details = record.config, record.details_as(MemoryDetails)
        is_step = config["method"] in METHODS and config.get("images", 0) in (0, config["batch"])
        if config["model"] == model and is_step and details and details.tensor_by_category:
            by_method = found.setdefault(config["batch"], {})
            by_method[config["method"]] = details.tensor_by_category
    return found


def _draw_stacks(axes: Axes, stacks: Mapping[str, Mapping[str, int]]) -> None:
    widest = max(sum(stack.values()) for stack in stacks.values()) / MIB
    left = dict.fromkeys(stacks, 0.0)
    for category, (words, style) in _CATEGORIES.items():
        sizes = [stack.get(category, 0) / MIB for stack in stacks.values()]
        if not any(sizes):
            continue
        axes.barh(
            range(len(stacks)),
            sizes,
            left=list(left.values()),
            height=0.62,
            label=words,
            color=style.color,
            hatch=style.hatch,
            edgecolor="#ffffff",
            linewidth=0.8,
        )
        for row, (method, width) in enumerate(zip(stacks, sizes, strict=True)):
            if width > _NARROW * widest:
                _write_inside(axes, left[method] + width / 2, row, _amount(width))
            left[method] += width
    axes.set_yticks(range(len(stacks)), [label(method) for method in stacks])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.legend(loc="upper center", bbox_to_anchor=(0.42, -0.2), ncols=2)


def _amount(size_mib: float) -> str:
    return f"{size_mib:,.0f}" if size_mib >= 10 else significant(size_mib, 2)


def _write_inside(axes: Axes, x: float, y: float, text: str) -> None:
    """Write a number on a plate, so that the hatch does not cross it."""
    plate = {"boxstyle": "round,pad=0.15", "facecolor": "#ffffff", "edgecolor": "none"}
    axes.text(x, y, text, ha="center", va="center", fontsize=8.5, bbox=plate)
