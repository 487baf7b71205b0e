"""The plot of a step's live tensors over its operators: forward, backward, update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.format import format_bytes, unit_of
from bench.labels import METHODS, label, method_label
from bench.paper import is_zo
from bench.records.case_name import CaseName
from bench.records.details.machine import MemoryDetails
from bench.records.record_index import Results
from bench.report.opponents import opponents_of
from bench.report.plots.style import Plot, hover, look, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_Timelines = Mapping[str, MemoryDetails]


def timeline_plots(results: Results) -> list[Plot]:
    """Draw one step of each method, a plot for each model whose records have it."""
    plots = (_plot(results, model) for model in results.models("memory"))
    return [plot for plot in plots if plot is not None]


def _plot(results: Results, model: str) -> Plot | None:
    batch = max(results.batches("memory", model))
    found = _timelines(results, model, batch)
    if not found:
        return None
    title = f"{label(model)}, batch {batch}: one step"
    unit, unit_bytes = unit_of(max(max(d.timeline_bytes) for d in found.values()))
    height = f"Live tensors ({unit})"
    with panel(title, "Operators of the step, in order (%)", height) as (fig, axes):
        for method, details in found.items():
            _draw(axes, method, details, unit_bytes)
        axes.set_ylim(bottom=0)
        fig.legend(loc="outside lower center", ncols=2, fontsize=7.5)
    return Plot(
        name=f"timeline-{model}",
        caption=(
            "Tensors at torch’s dispatcher during one step, weights and inputs included (n = 1)."
            " A dot is where backward begins, a cross where the update does. ZO perturbs the"
            " weights in place before, between and after its two forwards, which makes no tensor."
        ),
        alt="; ".join(
            f"{method_label(method)}: at most {format_bytes(max(d.timeline_bytes))}"
            for method, d in found.items()
        ),
        figure=fig,
    )


def _timelines(results: Results, model: str, batch: int) -> dict[str, MemoryDetails]:
    """Return the plain steps and the most memory-efficient ones, as far as they have a timeline."""
    methods = [method for pair in opponents_of(results, model) for method in pair.methods]
    found = {}
    for method in dict.fromkeys(methods):
        record = results.record(CaseName.memory(model, method, batch))
        details = record.details_as(MemoryDetails) if record else None
        if details and details.timeline_bytes:
            found[method] = details
    return found


def _draw(axes: Axes, method: str, details: MemoryDetails, unit_bytes: int) -> None:
    style = look("zo" if is_zo(method) else "fedavg")
    count = len(details.timeline_bytes)
    x = [100 * (index + 0.5) / count for index in range(count)]
    y = [live / unit_bytes for live in details.timeline_bytes]
    line = "-" if method in METHODS else "--"
    axes.plot(x, y, label=method_label(method), color=style.color, linestyle=line, linewidth=1.6)
    for phase, marker in {"backward": "o", "update": "X"}.items():
        if phase in details.timeline_phases and method in METHODS:
            start = details.timeline_phases.index(phase)
            axes.plot(x[start], y[start], marker, color=style.color, markersize=6)
    for at, live, phase in zip(x, y, details.timeline_phases, strict=True):
        hover(axes, at, live, f"{method_label(method)}, {phase}: {format_bytes(live * unit_bytes)}")
