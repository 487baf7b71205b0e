"""Bytes of a round on a real wire by level, and rounds of a growing fleet."""

from __future__ import annotations

from collections.abc import Sequence

from bench.format import MIB, MISSING, format_milliseconds
from bench.labels import method_label
from bench.records.record import Record
from bench.records.record_index import Results
from bench.report.section import Section
from bench.report.table import Cell, Table

_LEVELS = ("scalars", "payload", "message", "wire")


def wire_tables(results: Results) -> list[Table]:
    """Tabulate a client's bytes per round by level, then the fleets."""
    records = [record for record in results.group("wire") if record.status == "ok"]
    tables = []
    if counted := [record for record in records if "method" in record.config]:
        tables.append(_bytes_table(counted))
    if fleets := [record for record in records if "clients" in record.config]:
        tables.append(_fleet_table(fleets))
    return tables


def _bytes_table(records: Sequence[Record]) -> Table:
    rows = []
    for record in records:
        name = method_label(record.config["method"]) + (" over TLS" if record.config["tls"] else "")
        for direction in ("up", "down"):
            values = [record.metrics[f"{direction}_{level}"].value for level in _LEVELS]
            cells = [Cell(MISSING if value is None else f"{value:,.0f}") for value in values]
            rows.append((Cell(f"{name}, {direction}"), *cells))
    caption = "Bytes per client per round, by level"
    return Table(
        caption=caption,
        columns=("MQTT", *(level.capitalize() for level in _LEVELS)),
        rows=tuple(rows),
        labels=1,
    )


def _fleet_table(records: Sequence[Record]) -> Table:
    return Table(
        caption="Simulated clients with one server and one broker; no message was lost",
        columns=(
            *("Clients, all in each round", "Rounds/s", "Time per round, ms"),
            *("Server CPU per round, ms", "Server, MiB", "Broker, MiB"),
        ),
        rows=tuple(map(_fleet_row, sorted(records, key=lambda r: int(r.config["clients"])))),
        labels=1,
    )


def _fleet_row(record: Record) -> tuple[Cell, ...]:
    value = {name: metric.value or 0.0 for name, metric in record.metrics.items()}
    return (
        Cell(str(record.config["clients"])),
        Cell(f"{value['rounds_per_s']:.1f}"),
        *(Cell(format_milliseconds(value[name])) for name in ("round", "server_cpu")),
        *(Cell(f"{value[f'{part}_peak'] / MIB:.1f}") for part in ("server", "broker")),
    )


SECTION = Section(
    group="wire",
    title="Bytes on a real wire",
    short="Bytes on the wire",
    lead=(
        "MQTT with Mosquitto; a single client on a virtual cable, in steady state. Wire bytes are"
        " everything that crosses its interface, packet headers and acknowledgements included."
    ),
    tables=(wire_tables,),
    optional=True,
)
