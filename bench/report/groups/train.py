"""Trainings by ``zobench train``: how each ended, what it cost, and its accuracy by round."""

from __future__ import annotations

from bench.format import MISSING, duration, label, percent, size, split_of
from bench.records.record import Record
from bench.records.record_index import Results
from bench.report.table import Cell, Table

_SHARES = ("test_accuracy", "high_accuracy", "low_accuracy", "worst_decile_accuracy")


def train_sentences(results: Results) -> list[str]:
    """Say what each training reached, and at what cost on the link."""
    return [sentence for r in results.group("train") if (sentence := _sentence(results, r))]


def train_tables(results: Results) -> list[Table]:
    """Tabulate the trainings' ends, and the test accuracy of each on the way."""
    records = [record for record in results.group("train") if record.details.get("curve")]
    return [_ends(results, records), _curves(records)] if records else []


def _sentence(results: Results, record: Record) -> str:
    accuracy = results.value(record.case, "test_accuracy")
    if accuracy is None:
        return ""
    config, verdict = record.config, record.details["verdict"]
    clients = split_of(config["high_share"])
    ending = "" if verdict == "converged" else f"; it {verdict}"
    return (
        f"{label(config['algorithm'])} on {config['dataset']} with {clients} high- and"
        f" low-resource clients, seed {config['run_seed']}: {percent(accuracy)} test accuracy after"
        f" {record.details['rounds_done']} rounds, {_on_the_link(results, record)} a client on the"
        f" link{ending}."
    )


def _ends(results: Results, records: list[Record]) -> Table:
    names = ("Test", "High hold-outs", "Low hold-outs", "Worst decile")
    return Table(
        caption="Accuracy at the end; bytes up and down a client, seconds of all rounds",
        columns=("Training", "Model", "Rounds", *names, "Bytes a client", "Time", "How it ended"),
        rows=tuple(
            (
                Cell(_name(record)),
                Cell(label(record.config["model"])),
                Cell(str(record.details["rounds_done"])),
                *(_share(results.value(record.case, name)) for name in _SHARES),
                Cell(_on_the_link(results, record)),
                Cell(duration(results.value(record.case, "elapsed_s") or 0.0)),
                Cell(record.details["verdict"]),
            )
            for record in records
        ),
        prose=True,
    )


def _curves(records: list[Record]) -> Table:
    curves = [
        {point["rounds_done"]: point["test_accuracy"] for point in record.details["curve"]}
        for record in records
    ]
    rounds = sorted({done for curve in curves for done in curve})
    return Table(
        caption="Test accuracy by round",
        columns=("Round", *map(_name, records)),
        rows=tuple(
            (Cell(str(done)), *(_share(curve.get(done)) for curve in curves)) for done in rounds
        ),
        labels=1,
    )


def _name(record: Record) -> str:
    config = record.config
    return (
        f"{label(config['algorithm'])}, {config['dataset']}, {split_of(config['high_share'])},"
        f" seed {config['run_seed']}"
    )


def _on_the_link(results: Results, record: Record) -> str:
    ways = [results.value(record.case, f"{way}_payload_bytes") for way in ("up", "down")]
    return size(sum(way or 0.0 for way in ways) / record.config["clients"])


def _share(value: float | None) -> Cell:
    return Cell(MISSING if value is None else percent(value))
