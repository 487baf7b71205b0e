"""The chart of a client's whole process, with torch and without."""

from __future__ import annotations

from bench.format import MIB, format_bytes
from bench.labels import EDGE_CLIENTS, MODELS, label
from bench.records.record import Metric, Record
from bench.records.record_index import Results
from bench.report.bars import Bar, BarChart, Mark, end_of_axis, hover_text, kind_of

_PEAK = "process_peak"


def edge_charts(results: Results) -> list[BarChart]:
    """Draw the peak of each client's process during its round, a chart per model."""
    models = {record.config["model"] for record in _rounds(results)}
    return [_chart(results, model) for model in sorted(models, key=_rank)]


def _rank(model: str) -> tuple[int, str]:
    """Sort models as everywhere: ours in their order, then others by name."""
    names = list(MODELS)
    return (names.index(model) if model in MODELS else len(names)), model


def _rounds(results: Results) -> list[Record]:
    """List the clients' rounds whose peak was measured."""
    return [
        record
        for record in results.group("edge")
        if record.config.get("client") in EDGE_CLIENTS
        and results.value(record.case, _PEAK) is not None
    ]


def _chart(results: Results, model: str) -> BarChart:
    mine = [record for record in _rounds(results) if record.config["model"] == model]
    images = max(record.config["images"] for record in mine)
    shown = {r.config["client"]: r.metrics[_PEAK] for r in mine if r.config["images"] == images}
    end = end_of_axis(max(metric.value or 0.0 for metric in shown.values()) / MIB) * MIB
    return BarChart(
        caption=f"{label(model)}, {images} images: peak of the whole process in a client’s round",
        model=label(model),
        bars=tuple(_bar(name, shown[name], end) for name in EDGE_CLIENTS if name in shown),
    )


def _bar(client: str, metric: Metric, end: float) -> Bar:
    name, value = EDGE_CLIENTS[client], metric.value or 0.0
    kind = kind_of("fedavg" if client == "fedavg" else "zo")
    mark = Mark(
        kind=kind, start=0.0, width=value / end, hover=hover_text(name, metric, format_bytes)
    )
    return Bar(name=name, kind=kind, marks=(mark,), text=format_bytes(value))
