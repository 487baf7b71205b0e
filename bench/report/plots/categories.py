"""The chart of the tensors at a step's peak, by what they are for."""

from __future__ import annotations

from collections.abc import Mapping

from bench.format import mib, size
from bench.labels import METHODS, SAME_STEP_METHODS, label
from bench.records.record import Record
from bench.records.record_index import Results
from bench.report.bars import Bar, BarChart, Mark, end_of_axis, kind_of

# What live tensors are for, from the left of the bar: the colour's name and the words.
_CATEGORIES = {
    "parameter": ("weights", "weights"),
    "activation": ("activations", "activations"),
    "gradient": ("gradients", "gradients"),
    "activation gradient": ("activation-gradients", "gradients of activations"),
    "optimiser": ("optimiser", "optimizer state"),
    "perturbation": ("perturbation", "perturbation"),
    "other": ("rest", "input and the rest"),
}


def category_charts(results: Results) -> list[BarChart]:
    """Draw the tensors at the step's peak by what they are for, a chart per model."""
    charts = (_chart(results, model) for model in results.models("memory"))
    return [chart for chart in charts if chart is not None]


def _chart(results: Results, model: str) -> BarChart | None:
    found = _largest_batch(results, model)
    if not found:
        return None
    stacks = {m: categories_of(record) for m, record in found.items()}
    end = end_of_axis(max(sum(stack.values()) for stack in stacks.values()) / (1 << 20))
    batch = next(iter(found.values())).config["batch"]
    used = {name for stack in stacks.values() for name, size_bytes in stack.items() if size_bytes}
    return BarChart(
        model=label(model),
        caption=f"{label(model)}, batch {batch}: tensors that are alive at the peak of a step",
        bars=tuple(_bar(method, stack, end * (1 << 20)) for method, stack in stacks.items()),
        legend=tuple(words for name, words in _CATEGORIES.items() if name in used),
        note="Counted at torch’s dispatcher, exact (n = 1); libraries and kernels’ buffers are not"
        " tensors.",
    )


def categories_of(record: Record) -> Mapping[str, int]:
    """Return the bytes of a step's tensors at its peak, by category."""
    found: Mapping[str, int] = record.details["tensor_by_category"]
    return found


def _bar(method: str, stack: Mapping[str, int], end_bytes: float) -> Bar:
    marks, start = [], 0.0
    for category, (kind, words) in _CATEGORIES.items():
        if width := stack.get(category, 0) / end_bytes:
            hover = f"{label(method)}, {words}: {mib(stack[category])} MiB"
            marks.append(Mark(kind=kind, start=start, width=width, hover=hover))
            start += width
    return Bar(
        name=label(method),
        kind=kind_of(method),
        marks=tuple(marks),
        text=size(sum(stack.values())),
    )


def _largest_batch(results: Results, model: str) -> dict[str, Record]:
    """Return the records of the largest batch that has categories, by method."""
    methods = (*METHODS, *SAME_STEP_METHODS)
    records = [
        record
        for record in results.group("memory")
        if record.config["model"] == model
        and record.config["method"] in methods
        and record.details.get("tensor_by_category")
        and record.config.get("images", 0) in (0, record.config["batch"])
    ]
    largest = max((record.config["batch"] for record in records), default=None)
    found = {r.config["method"]: r for r in records if r.config["batch"] == largest}
    return {method: found[method] for method in methods if method in found}
