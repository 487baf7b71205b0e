"""What stands behind a step's figures: its device memory by term, and the precision it ran in."""

from __future__ import annotations

from bench.format import MISSING, format_mib, format_number
from bench.labels import LOW_MEMORY_METHODS, METHODS, label, method_label
from bench.records.case_name import CaseName
from bench.records.details.arithmetic import ScalarNoise
from bench.records.details.machine import MemoryDetails, TimeDetails
from bench.records.record import Record
from bench.records.record_index import Results
from bench.records.step_memory import HOST, step_memory
from bench.report.table import Cell, Table

_COLUMNS = (
    *("Method", "Batch", "Tensors", "Workspace", "Allocated", "Baseline", "Reserved"),
    *("CUDA context", "Whole process"),
)
_PRECISION = (
    "Precision of the steps, and its scalar noise: RMS of dL minus a float64 forward’s, relative to"
    " the latter; above 10 % it is too coarse for ZO training"
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
        *(Cell(MISSING if b is None else format_mib(b)) for b in (tensors, workspace, *others)),
    )


def arithmetic_tables(results: Results) -> list[Table]:
    """Tabulate precision and scalar noise by model, from the memory cases or else the time cases.

    Records from before these were recorded have no row.
    """
    rows: dict[tuple[Cell, ...], None] = {}
    for record in results.group("memory") or results.group("time"):
        noise = _noise_of(record)
        if noise is not None:
            rows[_noise_row(record, noise)] = None
    columns = ("Model", "Precision", "Scalar noise", "Same forward twice", "Directions", "Items")
    return (
        [Table(caption=_PRECISION, columns=columns, rows=tuple(rows), folded=True)] if rows else []
    )


def time_arithmetic_tables(results: Results) -> list[Table]:
    """Show the table with the times where no memory was measured."""
    return [] if results.group("memory") else arithmetic_tables(results)


def _noise_of(record: Record) -> ScalarNoise | None:
    details: MemoryDetails | TimeDetails | None
    if record.group == "memory":
        details = record.details_as(MemoryDetails)
    else:
        details = record.details_as(TimeDetails)
    return details.scalar_noise if details else None


def _noise_row(record: Record, noise: ScalarNoise) -> tuple[Cell, ...]:
    unknown = Cell(MISSING, noise.reason or "")
    relative = noise.relative_rms
    return (
        Cell(label(record.config["model"])),
        Cell(noise.precision),
        unknown if relative is None else Cell(f"{format_number(100 * relative)} %"),
        Cell("same bits" if noise.repeat_difference == 0 else f"{noise.repeat_difference:.1e}"),
        Cell(str(noise.directions)),
        Cell(MISSING if noise.items is None else str(noise.items)),
    )
