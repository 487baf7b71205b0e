"""In what precision steps were measured, and how exact its scalars are."""

from __future__ import annotations

from bench.format import MISSING, significant
from bench.labels import label
from bench.records.details.arithmetic import ScalarNoise
from bench.records.details.machine import MemoryDetails, TimeDetails
from bench.records.record import Record
from bench.records.record_index import Results
from bench.report.table import Cell, Table

_CAPTION = (
    "Precision of the steps, and its scalar noise: RMS of dL minus a float64 forward’s, relative to"
    " the latter; above 10 % it is too coarse for ZO training"
)


def arithmetic_tables(results: Results) -> list[Table]:
    """Tabulate precision and scalar noise by model, from the memory cases or else the time cases.

    Records from before these were recorded have no row.
    """
    rows: dict[tuple[Cell, ...], None] = {}
    for record in results.group("memory") or results.group("time"):
        noise = _noise_of(record)
        if noise is not None:
            rows[_row(record, noise)] = None
    columns = ("Model", "Precision", "Scalar noise", "Same forward twice", "Directions", "Items")
    return [Table(caption=_CAPTION, columns=columns, rows=tuple(rows), folded=True)] if rows else []


def time_arithmetic_tables(results: Results) -> list[Table]:
    """Show the table with the times where no memory was measured."""
    return [] if results.group("memory") else arithmetic_tables(results)


def _noise_of(record: Record) -> ScalarNoise | None:
    details = record.details_as(MemoryDetails if record.group == "memory" else TimeDetails)
    return details.scalar_noise if details else None


def _row(record: Record, noise: ScalarNoise) -> tuple[Cell, ...]:
    unknown = Cell(MISSING, noise.reason or "")
    relative = noise.relative_rms
    return (
        Cell(label(record.config["model"])),
        Cell(noise.precision),
        unknown if relative is None else Cell(f"{significant(100 * relative)} %"),
        Cell("same bits" if noise.repeat_difference == 0 else f"{noise.repeat_difference:.1e}"),
        Cell(str(noise.directions)),
        Cell(MISSING if noise.items is None else str(noise.items)),
    )
