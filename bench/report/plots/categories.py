"""The chart of the tensors at a step's peak, by what they are for."""

from __future__ import annotations

from collections.abc import Mapping

from bench.format import MIB, format_bytes
from bench.labels import METHODS, SAME_STEP_METHODS, label, method_label
from bench.records.details.machine import MemoryDetails
from bench.records.record_index import Results
from bench.report.bars import Bar, BarChart, Mark, end_of_axis, kind_of

_METHODS = (*METHODS, *SAME_STEP_METHODS)
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
    by_batch = _categories(results, model)
    if not by_batch:
        return None
    batch = max(by_batch)
    stacks = {method: by_batch[batch][method] for method in _METHODS if method in by_batch[batch]}
    end = end_of_axis(max(sum(stack.values()) for stack in stacks.values()) / MIB)
    used = {name for stack in stacks.values() for name, size_bytes in stack.items() if size_bytes}
    return BarChart(
        model=label(model),
        caption=f"{label(model)}, batch {batch}: tensors that are alive at the peak of a step",
        bars=tuple(_bar(method, stack, end * MIB) for method, stack in stacks.items()),
        legend=tuple(words for name, words in _CATEGORIES.items() if name in used),
        note="Counted at torch’s dispatcher, exact (n = 1); libraries and kernels’ buffers are not"
        " tensors.",
    )


def _bar(method: str, stack: Mapping[str, int], end_bytes: float) -> Bar:
    marks, start = [], 0.0
    for category, (kind, words) in _CATEGORIES.items():
        if width := stack.get(category, 0) / end_bytes:
            hover = f"{method_label(method)}, {words}: {format_bytes(stack[category])}"
            marks.append(Mark(kind=kind, start=start, width=width, hover=hover))
            start += width
    return Bar(
        name=method_label(method),
        kind=kind_of(method),
        marks=tuple(marks),
        text=format_bytes(sum(stack.values())),
    )


def _categories(results: Results, model: str) -> dict[int, dict[str, Mapping[str, int]]]:
    """Collect the tensors of a step at its peak: by batch, then by method, bytes by category."""
    found: dict[int, dict[str, Mapping[str, int]]] = {}
    for record in results.group("memory"):
        config, details = record.config, record.details_as(MemoryDetails)
        is_step = config["method"] in _METHODS and config.get("images", 0) in (0, config["batch"])
        if config["model"] == model and is_step and details and details.tensor_by_category:
            by_method = found.setdefault(config["batch"], {})
            by_method[config["method"]] = details.tensor_by_category
    return found
