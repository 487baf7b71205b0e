"""Language models: steps, what fits, bytes of a round, fine-tuning."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench.format import MISSING, format_mib, format_quantity
from bench.labels import INSTRUCT_VARIANTS as VARIANTS
from bench.records.details.machine import StepDetails
from bench.records.record import Record
from bench.records.record_index import Results
from bench.report.section import Section
from bench.report.table import Cell, Table, cell_of


def llm_tables(results: Results) -> list[Table]:
    """Tabulate every figure of the group; a step that does not fit has a row of its own."""
    rows = [
        row
        for record in results.group("llm")
        for row in (_rows(record) if record.status == "ok" else [_failed(record)])
    ]
    columns = ("Case", "Figure", "Value")
    caption = "Language models: steps, what fits, bytes of a round, fine-tuning"
    return [Table(caption=caption, columns=columns, rows=tuple(rows))] if rows else []


def _rows(record: Record) -> list[tuple[Cell, ...]]:
    return [
        (Cell(record.name.label), Cell(_words(name)), cell_of(metric, _writer(metric.unit)))
        for name, metric in record.metrics.items()
        if metric.value is not None
    ]


def _words(name: str) -> str:
    """Write a metric's name; a variant's before the colon as the plot has it."""
    variant, colon, figure = name.rpartition(": ")
    return f"{VARIANTS.get(variant, variant)}{colon}{figure}".replace("_", " ")


def _writer(unit: str) -> Callable[[float], str]:
    return partial(format_quantity, unit=unit)


def _failed(record: Record) -> tuple[Cell, ...]:
    limit = record.config.get("limit_bytes")
    under = "" if limit is None else f"under {format_mib(limit)} MiB"
    details = record.details_as(StepDetails)
    phase = (details and details.phase) or "no phase"
    return (
        Cell(record.name.label),
        Cell(record.status, f"{under}, {phase}".strip(", ")),
        Cell(MISSING),
    )


SECTION = Section(
    group="llm",
    title="Language models",
    lead=(
        "One step of language models with random weights on sequences of 128 tokens. Backprop is"
        " SGD without momentum; it runs under an OS-enforced memory limit."
    ),
    tables=(llm_tables,),
    optional=True,
)
