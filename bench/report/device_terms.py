"""The device memory of a step on a GPU, term by term: tensors, workspace, reserve, context."""

from __future__ import annotations

from bench.format import MISSING, mib
from bench.labels import LOW_MEMORY_METHODS, METHODS, label, method_label
from bench.records.case_name import CaseName
from bench.records.record_index import Results
from bench.records.step_memory import HOST, step_memory
from bench.report.table import Cell, Table

_COLUMNS = (
    *("Method", "Batch", "Tensors", "Workspace", "Allocated", "Baseline", "Reserved"),
    *("CUDA context", "Whole process"),
)


def device_tables(results: Results) -> list[Table]:
    """Tabulate the terms of each step's device memory, a table for each model; none on a CPU."""
    if step_memory(results) is HOST:
        return []
    tables = [_table(results, model) for model in results.models("memory")]
    return [table for table in tables if table.rows]


def _table(results: Results, model: str) -> Table:
    rows = tuple(
        _row(results, method, batch, case)
        for method in (*METHODS, *LOW_MEMORY_METHODS)
        for batch in results.batches("memory", model)
        for case in [CaseName.memory(model, method, batch)]
        if results.value(case, "device_allocated") is not None
    )
    return Table(
        caption=(
            f"{label(model)}. Device memory by term, MiB. Allocated: peak of torch’s allocator,"
            " tensors and the libraries’ workspace; baseline: what of it was there before the step."
            " Reserved: what the allocator held. Whole process: reserved and the CUDA context"
        ),
        columns=_COLUMNS,
        rows=rows,
    )


def _row(results: Results, method: str, batch: int, case: CaseName) -> tuple[Cell, ...]:
    tensors, *others = (
        results.value(case, name)
        for name in (
            *("tensor_peak", "device_allocated", "device_baseline", "device_reserved"),
            *("device_context", "device_process"),
        )
    )
    allocated = others[0]
    workspace = None if tensors is None or allocated is None else max(0.0, allocated - tensors)
    return (
        *(Cell(method_label(method)), Cell(str(batch))),
        *(Cell(MISSING if b is None else mib(b)) for b in (tensors, workspace, *others)),
    )
