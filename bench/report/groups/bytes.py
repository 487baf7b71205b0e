"""Bytes of one round: what a client sends and receives."""

from __future__ import annotations

from bench.format import MISSING, format_bytes
from bench.labels import label, method_label
from bench.records.record import Record
from bench.records.record_index import Results
from bench.report.section import Section
from bench.report.table import Cell, Table

_METRICS = ("up_scalars", "up_payload", "down_scalars", "down_payload")


def bytes_tables(results: Results) -> list[Table]:
    """Tabulate what a client sends and receives in a round."""
    records = [record for record in results.group("bytes") if record.status == "ok"]
    order = results.models("bytes")
    records.sort(key=lambda r: (order.index(r.config["model"]), r.config["method"] == "zo"))
    rows = [
        (
            Cell(label(record.config["model"])),
            Cell(method_label(record.config["method"]), _cohort(record)),
            *(_cell(results, record.case, name) for name in _METRICS),
        )
        for record in records
    ]
    columns = (
        *("Model", "Method"),
        *("Up, scalars", "Up, payload", "Down, scalars", "Down, payload"),
    )
    caption = "Bytes per client per round, exact"
    return [Table(caption=caption, columns=columns, rows=tuple(rows))] if rows else []


def _cell(results: Results, case: str, name: str) -> Cell:
    value = results.value(case, name)
    if value is None:
        return Cell(MISSING, results.reason(case, name))
    return Cell(f"{value:,.0f}", f"({format_bytes(value)})" if value >= 1024 else "")


def _cohort(record: Record) -> str:
    """Write what the bytes of a ZO round depend on; backprop's depend on neither."""
    if record.config["method"] != "zo":
        return ""
    return f"S = {record.config['directions']}, cohort {record.config['cohort']}"


SECTION = Section(
    group="bytes",
    title="Bytes of one round",
    short="Bytes",
    lead=(
        "Scalars are the paper’s count, 4 bytes each. The payload is the encoded message with its"
        " header. ZO’s directions follow from the run’s seed and need no bytes."
    ),
    tables=(bytes_tables,),
    definitions={"Bytes": "The length of the encoded message; not an estimate."},
)
