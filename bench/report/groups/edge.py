"""The tables of the client without torch: its round beside torch's, and what was tried on it."""

from __future__ import annotations

from collections.abc import Iterable

from bench.format import MISSING, label, mib, quantity, significant, size
from bench.records.record import Record
from bench.records.record_index import Results
from bench.report.table import Cell, Table, ratio, spread
from bench.workloads.edge import CLIENTS

_CLIENTS = {
    "onnx-memory": "ZO, ONNX Runtime, least memory",
    "onnx-speed": "ZO, ONNX Runtime, most speed",
    "torch": "ZO, torch",
    "fedavg": "FedAvg, torch",
}
_SAID = {"onnx-memory": "ZO without torch", "torch": "ZO with torch", "fedavg": "FedAvg"}


def edge_sentences(results: Results) -> list[str]:
    """Say what each client's whole process peaks at in its largest round, model by model."""
    sentences = []
    for model in results.models("edge"):
        rounds = [record for record in _rounds(results) if record.config["model"] == model]
        images = max((int(record.config["images"]) for record in rounds), default=0)
        largest = {r.config["client"]: r for r in rounds if r.config["images"] == images}
        peaks = [
            f"{size(peak)} by {words}"
            for client, words in _SAID.items()
            if client in largest
            and (peak := largest[client].metrics["process_peak"].value) is not None
        ]
        if peaks:
            sentences.append(
                f"A client’s whole process in a round of {label(model)} over {images} images"
                f"{_partly(largest.values())} peaks at {', '.join(peaks)}."
            )
    return sentences


def _partly(rounds: Iterable[Record]) -> str:
    items = [record.config["items"] for record in rounds if record.config.get("items")]
    return f", {min(items)} of them worked through," if items else ""


def edge_tables(results: Results) -> list[Table]:
    """Tabulate each client's round by model and images, then all other figures of the group."""
    rounds = _rounds(results)
    others = [r for r in results.group("edge") if r.status == "ok" and r not in rounds]
    tables = []
    if rounds:
        tables.append(_round_table(results, rounds))
    if others:
        tables.append(_figures_table(others))
    return tables


def _rounds(results: Results) -> list[Record]:
    done = (record for record in results.group("edge") if record.status == "ok")
    return sorted((r for r in done if "client" in r.config and "round" in r.metrics), key=_key)


def _key(record: Record) -> tuple[str, int, int]:
    return (
        str(record.config["model"]),
        int(record.config["images"]),
        CLIENTS.index(record.config["client"]),
    )


def _round_table(results: Results, records: list[Record]) -> Table:
    return Table(
        caption="One client’s round: peak memory in MiB, time in s: median (smallest–largest)",
        columns=(
            *("Model", "Images", "Client", "Whole process", "Above the loaded model"),
            *("Time", "Time ÷ torch’s"),
        ),
        rows=tuple(_round_row(results, record) for record in records),
        labels=3,
    )


def _round_row(results: Results, record: Record) -> tuple[Cell, ...]:
    config, seconds = record.config, record.metrics["round"]
    torch = record.case.replace(f"/{config['client']}/", "/torch/")
    images = f"{config['images']}"
    if config["images"] != config["micro_batch"]:
        images += f" by {config['micro_batch']}, S = {config['directions']}"
    partly = f"{config['items']} worked through" if config.get("items") else ""
    theirs = results.value(torch, "round") if config["client"] != "fedavg" else None
    return (
        Cell(label(config["model"])),
        Cell(images, partly),
        Cell(_CLIENTS[config["client"]]),
        *(_memory(record, name) for name in ("process_peak", "peak_above_baseline")),
        Cell(significant(seconds.value or 0.0), spread(seconds, significant)),
        Cell(ratio(seconds.value, theirs)),
    )


def _memory(record: Record, name: str) -> Cell:
    value = record.metrics[name].value
    return Cell(MISSING, "not measured") if value is None else Cell(mib(value))


def _figures_table(records: list[Record]) -> Table:
    rows = [
        (
            Cell(record.case.removeprefix("edge/")),
            Cell(name.replace("_", " ")),
            Cell(quantity(metric.value, metric.unit)),
            Cell(_bar(record, name)),
        )
        for record in records
        for name, metric in record.metrics.items()
        if metric.value is not None
    ]
    columns = ("Case", "Figure", "Value", "Bar")
    return Table(caption="What was tried on it", columns=columns, rows=tuple(rows))


def _bar(record: Record, name: str) -> str:
    limit = record.details.get("limits", {}).get(name)
    return MISSING if limit is None else f"≤ {significant(limit)}"
