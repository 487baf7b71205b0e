"""ResNet18's step on several machines: memory and time, by ZO and by backprop."""

from __future__ import annotations

from collections.abc import Mapping

from bench.labels import label
from bench.paper import BATCH
from bench.records.record_index import Results
from bench.records.step_memory import HOST, step_memory
from bench.report.costs import ROUND, Figure, memory_figure
from bench.report.plots.style import Plot, look, panel

_METHODS = ("zo", "fedavg")
_AXES = {"memory": "Peak memory above the loaded model", "time": "Time per round"}


def machine_plots(machines: Mapping[str, Results]) -> list[Plot]:
    """Draw a bar for each machine and method; none for what fewer than two machines have.

    Args:
        machines: the records of each machine, by its name.
    """
    plots = (_plot(machines, group, words) for group, words in _AXES.items())
    return [plot for plot in plots if plot is not None]


def _plot(machines: Mapping[str, Results], group: str, words: str) -> Plot | None:
    bars = [
        (name, method, figure, value)
        for machine, results in machines.items()
        for name, figure in [_figure(machine, results, group)]
        for method in _METHODS
        if (value := figure.value(results, "resnet18", method, BATCH))
    ]
    if len({name for name, *_ in bars}) < 2:
        return None
    write = bars[0][2].write
    with panel(f"ResNet18, batch {BATCH}", f"{words} (logarithmic)", "") as (figure, axes):
        for row, (_, method, _, value) in enumerate(bars):
            style = look(method)
            axes.barh(row, value, color="white", edgecolor=style.color, hatch=style.hatch)
            axes.annotate(write(value), (value * 1.1, row), va="center")
        axes.set_yticks(range(len(bars)), [f"{name}\n{label(method)}" for name, method, *_ in bars])
        axes.invert_yaxis()
        axes.set_xscale("log")
        values = [value for *_, value in bars]
        axes.set_xlim(min(values) / 4, max(values) * 12)
        axes.xaxis.set_major_formatter(lambda value, _: write(value))
        axes.minorticks_off()
    return Plot(
        name=f"machines-{group}",
        caption=f"{words}: the median of each machine’s samples; n is in the table.",
        alt="; ".join(f"{name}, {label(m)}: {write(value)}" for name, m, _, value in bars),
        figure=figure,
    )


def _figure(machine: str, results: Results, group: str) -> tuple[str, Figure]:
    """Return a machine's name, marked where its memory is a device's, and what is drawn."""
    if group == "time":
        return machine, ROUND
    memory = step_memory(results)
    name = machine if memory is HOST else f"{machine}, {memory.name}"
    return name, memory_figure(results)
