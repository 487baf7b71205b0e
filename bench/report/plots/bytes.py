"""The chart of a round's bytes, by method and direction."""

from __future__ import annotations

from bench.format import format_bytes
from bench.labels import label, method_label
from bench.records.case_name import CaseName
from bench.records.record_index import Results
from bench.report.bars import Bar, BarChart, Line, LogAxis, Mark, kind_of

_DIRECTIONS = ("up", "down")
_TICKS = tuple(1 << power for power in range(0, 51, 10))


def bytes_charts(results: Results) -> list[BarChart]:
    """Draw what a client sends and receives per round as dots on a logarithmic axis, by model."""
    charts = (_chart(results, model) for model in results.models("bytes"))
    return [chart for chart in charts if chart is not None]


def _chart(results: Results, model: str) -> BarChart | None:
    found = [
        (method, direction, value)
        for method in ("zo", "fedavg")
        for direction in _DIRECTIONS
        if (value := results.value(CaseName.bytes(model, method), f"{direction}_payload"))
    ]
    if not found:
        return None
    axis = LogAxis.over([1.0, *(value for *_, value in found)], base=1024.0)
    return BarChart(
        model=label(model),
        caption=f"{label(model)}: payload bytes per client per round (logarithmic axis)",
        bars=tuple(_dot(axis, *each) for each in found),
        lines=tuple(
            Line(at=axis.share(t), words=format_bytes(t)) for t in _TICKS if t <= axis.high
        ),
        dots=True,
    )


def _dot(axis: LogAxis, method: str, direction: str, value: float) -> Bar:
    name = f"{method_label(method)}, {direction}"
    hover = f"{name}: {value:,.0f} bytes, exact (n = 1), length of the encoded payload"
    mark = Mark(kind=kind_of(method), start=axis.share(value), width=0.0, hover=hover)
    return Bar(name=name, kind=kind_of(method), marks=(mark,), text=format_bytes(value))
