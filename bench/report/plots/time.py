"""The chart of a round's time, by method."""

from __future__ import annotations

from collections.abc import Sequence

from bench.format import format_seconds
from bench.labels import LOW_MEMORY_METHODS, METHODS, label, method_label
from bench.paper import BATCH, CLIENT_IMAGES
from bench.records.record import Metric
from bench.records.record_index import Results
from bench.report.bars import BarChart, end_of_axis, metric_bar
from bench.report.costs import ROUND, STEP, Figure

_Found = Sequence[tuple[str, Metric]]  # method and time


def time_charts(results: Results) -> list[BarChart]:
    """Draw the time of a round by method, a chart per model; of a step without the batch."""
    charts = (_chart(results, model) for model in results.models("time"))
    return [chart for chart in charts if chart is not None]


def _chart(results: Results, model: str) -> BarChart | None:
    batch = max(results.batches("time", model))
    found = _times(results, ROUND, model, BATCH)
    words = f"time per round of {CLIENT_IMAGES} images, batch {BATCH}"
    if not found:
        found = _times(results, STEP, model, batch)
        words = f"time per step, batch {batch}"
    if not found:
        return None
    end = end_of_axis(max(metric.value or 0.0 for _, metric in found))
    return BarChart(
        model=label(model),
        caption=f"{label(model)}: {words}",
        bars=tuple(
            metric_bar(method_label(method), method, metric, format_seconds, end)
            for method, metric in found
        ),
    )


def _times(results: Results, figure: Figure, model: str, batch: int) -> _Found:
    return [
        (method, metric)
        for method in (*METHODS, *LOW_MEMORY_METHODS)
        if (metric := figure.found(results, model, method, batch)) is not None
    ]
