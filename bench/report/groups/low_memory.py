"""The table of steps at less memory: what each holds at its peak, by category, and its time."""

from __future__ import annotations

from collections.abc import Sequence

from bench.format import METHODS, MISSING, label, mib, milliseconds
from bench.paper import BATCH
from bench.records.record import Record
from bench.records.record_index import Results
from bench.records.step_memory import step_memory
from bench.report.table import Cell, Table, spread
from bench.workloads.low_memory_steps import FRUGAL_METHODS

_CATEGORIES = ("parameter", "gradient", "activation", "activation gradient")


def frugal_tables(results: Results) -> list[Table]:
    """Tabulate, for each model of which frugal ways were measured, all ways beside each other."""
    return [
        _table(results, model)
        for model in results.models("memory")
        if any(f"memory/{model}/{method}/b{BATCH}" in results.by_case for method in FRUGAL_METHODS)
    ]


def _table(results: Results, model: str) -> Table:
    records = [
        record
        for method in (*METHODS, *FRUGAL_METHODS)
        if (record := results.by_case.get(f"memory/{model}/{method}/b{BATCH}"))
    ]
    memory = step_memory(results)
    return Table(
        caption=(
            f"Steps at less memory, {label(model)}, batch {BATCH}: tensors at the peak, MiB and"
            f" share by category; peak {memory.name} above the baseline; time of the step. Those of"
            " a part change that part alone; all others are FedAvg’s whole step, or ZO’s"
        ),
        columns=(
            *("Way", "Made in the step", "Weights", "Gradients", "Activations"),
            *("Their gradients", "The rest", f"{memory.column}, MiB", "Time, ms"),
        ),
        rows=tuple(_row(results, model, record) for record in records),
        labels=1,
    )


def _row(results: Results, model: str, record: Record) -> tuple[Cell, ...]:
    method = str(record.config["method"])
    return (
        Cell(label(method)),
        _figure(results, record.case, "tensor_peak_above_baseline"),
        *_shares(record),
        _figure(results, record.case, step_memory(results).above),
        _time(results, f"time/{model}/{method}/b{BATCH}"),
    )


def _figure(results: Results, case: str, name: str) -> Cell:
    metric = results.metric(case, name)
    if metric is None or metric.value is None:
        return Cell(MISSING, results.reason(case, name))
    detail = spread(metric, mib)
    return Cell(mib(metric.value), f"({detail})" if detail else "")


def _shares(record: Record) -> Sequence[Cell]:
    by_category = record.details.get("tensor_by_category", {})
    total = sum(by_category.values())
    if not total:
        return [Cell(MISSING)] * (len(_CATEGORIES) + 1)
    parts = [by_category.get(category, 0) for category in _CATEGORIES]
    parts.append(total - sum(parts))
    return [Cell(mib(part) if part else "0", f"{100 * part / total:.0f} %") for part in parts]


def _time(results: Results, case: str) -> Cell:
    value = results.value(case, "step")
    return Cell(MISSING if value is None else milliseconds(value))
