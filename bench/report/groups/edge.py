"""The client without torch: its round next to torch's, and further measurements."""

from __future__ import annotations

from typing import Any

from bench.format import MISSING, format_mib, format_number, format_quantity, format_seconds
from bench.labels import EDGE_CLIENTS, label
from bench.records.details.arithmetic import ForwardArithmetic, ScalarNoise
from bench.records.details.machine import (
    LimitDetails,
    PrecisionDetails,
    RoundDetails,
    TrainingDetails,
)
from bench.records.record import Record
from bench.records.record_index import Results
from bench.report.section import Section
from bench.report.table import Cell, Table, cell_of, ratio


def edge_tables(results: Results) -> list[Table]:
    """Tabulate each client's round by model and images, then all other figures of the group."""
    records = [record for record in results.group("edge") if record.status == "ok"]
    rounds = [r for r in records if "client" in r.config and "round" in r.metrics]
    others = [record for record in records if record not in rounds]
    tables = [
        _round_table(results, sorted(rounds, key=_order)),
        _figures_table(others),
        _arithmetic_table(records),
    ]
    return [table for table in tables if table.rows]


def _order(record: Record) -> tuple[str, int, int]:
    client = list(EDGE_CLIENTS).index(record.config["client"])
    return str(record.config["model"]), int(record.config["images"]), client


def _round_table(results: Results, records: list[Record]) -> Table:
    return Table(
        caption="One client’s round: peak memory in MiB, time as median (smallest–largest)",
        columns=(
            *("Model", "Images", "Client", "Whole process", "Above the loaded model"),
            *("Time", "Time ÷ ZO in torch", "n"),
        ),
        rows=tuple(_round_row(results, record) for record in records),
        labels=3,
    )


def _round_row(results: Results, record: Record) -> tuple[Cell, ...]:
    config, seconds = record.config, record.metrics["round"]
    torch = record.name.replacing(config["client"], "torch")
    images, remarks = f"{config['images']}", []
    if config["images"] != config["micro_batch"]:
        images += f" by {config['micro_batch']}"
        if config["client"] != "fedavg":
            remarks.append(f"S = {config['directions']}")
    if config.get("items"):
        remarks.append(f"{config['items']} computed")
    compared = config["client"] not in ("fedavg", "torch")
    theirs = results.value(torch, "round") if compared else None
    return (
        Cell(label(config["model"])),
        Cell(images, ", ".join(remarks)),
        Cell(EDGE_CLIENTS[config["client"]]),
        *(_memory(record, name) for name in ("process_peak", "peak_above_baseline")),
        cell_of(seconds, format_seconds),
        Cell(ratio(seconds.value, theirs)),
        Cell(str(seconds.n)),
    )


def _memory(record: Record, name: str) -> Cell:
    value = record.metrics[name].value
    return Cell(MISSING, "not measured") if value is None else Cell(format_mib(value))


def _figures_table(records: list[Record]) -> Table:
    rows = [
        (
            Cell(record.name.label),
            Cell(name.replace("_", " ")),
            Cell(format_quantity(metric.value, metric.unit)),
            Cell(_threshold(record, name)),
        )
        for record in records
        for name, metric in record.metrics.items()
        if metric.value is not None
    ]
    columns = ("Case", "Figure", "Value", "Threshold")
    return Table(caption="Further measurements", columns=columns, rows=tuple(rows))


def _arithmetic_table(records: list[Record]) -> Table:
    rows = [
        (
            Cell(record.name.label),
            Cell(found.library, ", ".join(found.providers)),
            Cell("on" if found.bfloat16_products else "off"),
            Cell("on" if found.kleidiai else "off"),
            Cell(_noise(found.scalar_noise)),
        )
        for record in records
        for found in _arithmetic_of(record)
    ]
    return Table(
        caption="Arithmetic of the client without torch, as its session reports it",
        columns=("Case", "Library", "bfloat16 products", "KleidiAI", "Scalar noise"),
        rows=tuple(rows),
    )


def _arithmetic_of(record: Record) -> list[ForwardArithmetic]:
    """Return what a record says of its client's arithmetic, once for each training."""
    for kind in (RoundDetails, PrecisionDetails, LimitDetails, TrainingDetails):
        details: Any = record.details_as(kind)
        if details is not None:
            found = details.arithmetic
            return list(found) if isinstance(found, tuple) else [found] if found else []
    return []


def _noise(noise: ScalarNoise) -> str:
    return MISSING if noise.relative_rms is None else f"{100 * noise.relative_rms:.2g} %"


def _threshold(record: Record, name: str) -> str:
    details = record.details_as(PrecisionDetails)
    limit = details.limits.get(name) if details else None
    return MISSING if limit is None else f"≤ {format_number(limit)}"


SECTION = Section(
    group="edge",
    title="A client without torch",
    short="Client without torch",
    lead=(
        "A ZO client needs only forward passes, so it can run without a training framework: NumPy,"
        " ONNX Runtime and the engine’s kernels. The table compares its round with the same round"
        " in torch and with backprop’s, each in a fresh process."
    ),
    tables=(edge_tables,),
    definitions={
        "Client’s round": (
            "The scalars of S directions over the client’s images, then the replay of the round’s"
            " list. The whole process counts everything since its start: libraries, loading,"
            " weights, data. Backprop takes one step over one batch, or three epochs over the whole"
            " data set."
        ),
        "Exactness of the scalars": (
            "Root mean square, over 20 directions, of the difference from a float64 forward at the"
            " same fp32 weights, divided by the root mean square of the scalars."
        ),
        "Arithmetic": (
            "Execution providers and options are read from ONNX Runtime’s session. The scalar noise"
            " compares the scalars of a few directions with those that the export computed in"
            " float64. Above 10 % the client is refused."
        ),
    },
    optional=True,
)
