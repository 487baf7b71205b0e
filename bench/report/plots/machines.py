"""ResNet18's step on several machines: memory and time, by ZO and by backprop."""

from __future__ import annotations

from collections.abc import Mapping

from bench.format import label, quantity
from bench.records.record_index import Results
from bench.records.step_memory import HOST, step_memory
from bench.report.groups.statements import STEP_BATCH
from bench.report.plots.style import Plot, look, panel

_METHODS = ("zo", "fedavg")
_AXES = {
    "memory": ("byte", "Peak memory above the loaded model"),
    "time": ("second", "Time of one step"),
}


def machine_plots(machines: Mapping[str, Results]) -> list[Plot]:
    """Draw a bar for each machine and method; none for what fewer than two machines have.

    Args:
        machines: the records of each machine, by its name.
    """
    plots = (_plot(machines, group, *axis) for group, axis in _AXES.items())
    return [plot for plot in plots if plot is not None]


def _plot(machines: Mapping[str, Results], group: str, unit: str, words: str) -> Plot | None:
    bars = [
        (told, method, value)
        for name, results in machines.items()
        for told, metric in [_figure(name, results, group)]
        for method in _METHODS
        if (value := results.value(f"{group}/resnet18/{method}/b{STEP_BATCH}", metric))
    ]
    if len({name for name, _, _ in bars}) < 2:
        return None
    with panel(f"ResNet18, batch {STEP_BATCH}", f"{words} (logarithmic)", "") as (figure, axes):
        for row, (_, method, value) in enumerate(bars):
            style = look(method)
            axes.barh(row, value, color="white", edgecolor=style.color, hatch=style.hatch)
            words_at = (value * 1.1, row)
            axes.annotate(quantity(value, unit), words_at, va="center")
        axes.set_yticks(range(len(bars)), [f"{name}\n{label(m)}" for name, m, _ in bars])
        axes.invert_yaxis()
        axes.set_xscale("log")
        values = [value for _, _, value in bars]
        axes.set_xlim(min(values) / 4, max(values) * 12)
        axes.xaxis.set_major_formatter(lambda value, _: quantity(value, unit))
        axes.minorticks_off()
    told = (f"{name}, {label(method)}: {quantity(value, unit)}" for name, method, value in bars)
    return Plot(
        name=f"machines-{group}",
        caption=f"{words}: the median of each machine’s samples; n is in the table.",
        alt="; ".join(told),
        figure=figure,
    )


def _figure(name: str, results: Results, group: str) -> tuple[str, str]:
    """Return a machine's name, marked where its memory is a device's, and the metric drawn."""
    if group == "time":
        return name, "step"
    memory = step_memory(results)
    return name if memory is HOST else f"{name}, {memory.name}", memory.above
