"""ResNet18's step on several machines: memory and time, by ZO and by backprop."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.labels import method_label
from bench.paper import BATCH
from bench.records.record import Metric
from bench.records.record_index import Results
from bench.records.step_memory import HOST, step_memory
from bench.report.bars import Bar, BarChart, Line, LogAxis, Mark, hover_text, kind_of
from bench.report.costs import ROUND, Figure, memory_figure

_METHODS = ("zo", "fedavg")
_WORDS = {"memory": "peak memory above the loaded model", "time": "time per round"}
_MOST_TICKS = 4  # their labels have room on a phone
_Row = tuple[str, str, Metric]  # machine, method, figure


def machine_charts(machines: Mapping[str, Results]) -> list[BarChart]:
    """Draw a dot for each machine and method; nothing for what fewer than two machines have.

    Args:
        machines: the records of each machine, by its name.
    """
    charts = (_chart(machines, group, words) for group, words in _WORDS.items())
    return [chart for chart in charts if chart is not None]


def _chart(machines: Mapping[str, Results], group: str, words: str) -> BarChart | None:
    found = [
        (name, method, metric, figure)
        for machine, results in machines.items()
        for name, figure in [_figure(machine, results, group)]
        for method in _METHODS
        if (metric := figure.found(results, "resnet18", method, BATCH)) and metric.value
    ]
    if len({name for name, *_ in found}) < 2:
        return None
    write = found[0][3].write
    axis = LogAxis.over([metric.value or 1.0 for _, _, metric, _ in found])
    return BarChart(
        caption=f"ResNet18, batch {BATCH}: {words} (logarithmic axis)",
        bars=tuple(_dot(axis, (name, method, m), write) for name, method, m, _ in found),
        lines=_ticks(axis, write),
        dots=True,
    )


def _dot(axis: LogAxis, row: _Row, write: Callable[[float], str]) -> Bar:
    machine, method, metric = row
    value, name = metric.value or 1.0, f"{machine}, {method_label(method)}"
    mark = Mark(
        kind=kind_of(method),
        start=axis.share(value),
        width=0.0,
        hover=hover_text(name, metric, write),
    )
    return Bar(name=name, kind=kind_of(method), marks=(mark,), text=write(value))


def _ticks(axis: LogAxis, write: Callable[[float], str]) -> tuple[Line, ...]:
    """Mark powers of two, so many that their labels have room."""
    powers, value = [], axis.low
    while value <= axis.high:
        powers.append(value)
        value *= 2
    step = -(-len(powers) // _MOST_TICKS)
    return tuple(Line(at=axis.share(each), words=write(each)) for each in powers[::step])


def _figure(machine: str, results: Results, group: str) -> tuple[str, Figure]:
    """Return a machine's name, marked where its memory is a device's, and what is drawn."""
    if group == "time":
        return machine, ROUND
    memory = step_memory(results)
    name = machine if memory is HOST else f"{machine}, {memory.name}"
    return name, memory_figure(results)
