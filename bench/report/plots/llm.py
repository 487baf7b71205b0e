"""Plots of the fine-tuning study: test loss over rounds, and over forwards of items."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.labels import INSTRUCT_VARIANTS
from bench.records.case_name import CaseName
from bench.records.details.instruct import InstructDetails, LossPoint, StudyRun
from bench.records.record_index import Results
from bench.report.plots.style import Look, Plot, hover, look, panel
from bench.report.table import count_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CASE = CaseName.of("llm", "instruct")
_AXES = {"rounds": "Rounds", "item_forwards": "Forwards of items, all clients"}
_SIZE_INCH = (4.4, 4.4)


def instruct_plots(results: Results) -> list[Plot]:
    """Draw each variant's mean test loss, over rounds and over forwards."""
    record = results.record(_CASE)
    study = record.details_as(InstructDetails) if record else None
    finished = [run for run in study.runs if run.outcome == "finished"] if study else []
    return [_plot(finished, axis) for axis in _AXES] if finished else []


def _plot(runs: Sequence[StudyRun], axis: str) -> Plot:
    by_variant = {
        variant: [run.curve for run in runs if run.config.variant == variant]
        for variant in dict.fromkeys(run.config.variant for run in runs)
    }
    words = ("Fine-tuning", _AXES[axis], "Test loss (nats per token)")
    with panel(*words, _SIZE_INCH) as (figure, axes):
        for index, (variant, curves) in enumerate(by_variant.items()):
            _draw(axes, look(variant, index), INSTRUCT_VARIANTS.get(variant, variant), curves, axis)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.locator_params(axis="x", nbins=5)
        figure.legend(loc="outside lower center", fontsize=8)
    n = count_range(len(curves) for curves in by_variant.values())
    return Plot(
        name=f"instruct-loss-{axis.replace('_', '-')}",
        caption=f"Mean over n = {n} seeds, band from the smallest to the largest.",
        alt=f"Test loss over {_AXES[axis].lower()}, by method",
        figure=figure,
    )


def _draw(
    axes: Axes, style: Look, name: str, curves: Sequence[Sequence[LossPoint]], axis: str
) -> None:
    points = list(zip(*curves, strict=True))
    x = [getattr(point[0], axis) for point in points]
    losses = [[math.nan if one.loss is None else one.loss for one in point] for point in points]
    means = [sum(values) / len(values) for values in losses]
    axes.plot(
        *(x, means),
        label=name,
        color=style.color,
        marker=style.marker,
        markersize=3.5,
        linestyle=style.line,
    )
    low, high = [min(values) for values in losses], [max(values) for values in losses]
    axes.fill_between(x, low, high, color=style.color, alpha=0.15, linewidth=0)
    for at, mean in zip(x, means, strict=True):
        if not math.isnan(mean):
            words = f"{name}: {mean:.3f} nats, {_AXES[axis].lower()}: {at:,}, n = {len(curves)}"
            hover(axes, at, mean, words)
