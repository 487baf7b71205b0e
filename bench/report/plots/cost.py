"""The plots of what a step holds and how long it takes: tensors by what they are for, and time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.format import METHODS, MIB, duration, label, mib
from bench.records.record import Metric, Record
from bench.records.record_index import Results
from bench.report.plots.style import Look, Plot, look, panel
from bench.report.table import count_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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


def category_plots(results: Results) -> list[Plot]:
    """Draw the tensors at the step's peak by what they are for, a plot for each model."""
    plots = (_category_plot(results, model) for model in results.models("memory"))
    return [plot for plot in plots if plot is not None]


def time_plots(results: Results) -> list[Plot]:
    """Draw the time of one step by batch and method, a plot for each model."""
    plots = (_time_plot(results, model) for model in results.models("time"))
    return [plot for plot in plots if plot is not None]


def _category_plot(results: Results, model: str) -> Plot | None:
    found = _largest_batch(results, model)
    if not found:
        return None
    batch = next(iter(found.values())).config["batch"]
    words = f"{label(model)}, batch {batch}"
    with panel(words, "Live tensors at the peak (MiB)", "") as (figure, axes):
        _draw_stacks(axes, {m: r.details["tensor_by_category"] for m, r in found.items()})
    totals = ", ".join(
        f"{label(method)} {mib(sum(record.details['tensor_by_category'].values()))} MiB"
        for method, record in found.items()
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


def _largest_batch(results: Results, model: str) -> dict[str, Record]:
    """Return the records of the largest batch that has categories, by method."""
    records = [
        record
        for record in results.group("memory")
        if record.config["model"] == model
        and record.config["method"] in METHODS
        and record.details.get("tensor_by_category")
        and record.config.get("images", 0) in (0, record.config["batch"])
    ]
    largest = max((record.config["batch"] for record in records), default=None)
    found = {r.config["method"]: r for r in records if r.config["batch"] == largest}
    return {method: found[method] for method in METHODS if method in found}


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
        for row, (method, size) in enumerate(zip(stacks, sizes, strict=True)):
            if size > _NARROW * widest:
                _write_inside(axes, left[method] + size / 2, row, f"{size:,.0f}")
            left[method] += size
    axes.set_yticks(range(len(stacks)), [label(method) for method in stacks])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.legend(loc="upper center", bbox_to_anchor=(0.42, -0.2), ncols=2)


def _write_inside(axes: Axes, x: float, y: float, text: str) -> None:
    """Write a number on a plate, so that the hatch does not cross it."""
    plate = {"boxstyle": "round,pad=0.15", "facecolor": "#ffffff", "edgecolor": "none"}
    axes.text(x, y, text, ha="center", va="center", fontsize=8.5, bbox=plate)


def _time_plot(results: Results, model: str) -> Plot | None:
    bars = [
        (batch, method, metric)
        for batch in results.batches("time", model)
        for method in METHODS
        if (metric := results.metric(f"time/{model}/{method}/b{batch}", "step")) is not None
    ]
    if not bars:
        return None
    with panel(label(model), "Time of one step (logarithmic)", "") as (figure, axes):
        _draw_times(axes, bars)
    n = count_range(metric.n for _, _, metric in bars)
    told = (f"{label(m)}, batch {b}: {duration(metric.value or 0)}" for b, m, metric in bars)
    return Plot(
        name=f"time-{model}",
        caption=f"{label(model)}: median of n = {n} repeats, bars from smallest to largest.",
        alt="; ".join(told),
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
