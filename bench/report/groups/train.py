"""Trainings by ``zobench train``: how each ended, what it cost, and its accuracy by round."""

from __future__ import annotations

from bench.format import MISSING, format_bytes, format_percent, format_seconds, format_split
from bench.labels import label
from bench.records.details.training import TrainDetails
from bench.records.record import Record
from bench.records.record_index import Results
from bench.records.typed_json import from_json
from bench.report.section import Section
from bench.report.table import Cell, Table

_SHARES = ("test_accuracy", "high_accuracy", "low_accuracy", "worst_decile_accuracy")


def train_sentences(results: Results) -> list[str]:
    """Summarize each training: accuracy, rounds and bytes."""
    return [
        f"{_name(record)}: {format_percent(accuracy)} test accuracy after"
        f" {_details(record).rounds_done} rounds and {_link_bytes(results, record)} per client"
        f" ({_details(record).verdict})."
        for record in results.group("train")
        if (accuracy := results.value(record.case, "test_accuracy")) is not None
    ]


def train_tables(results: Results) -> list[Table]:
    """Tabulate how the trainings ended, and the test accuracy of each by round."""
    records = [record for record in results.group("train") if record.details_as(TrainDetails)]
    return [_ends(results, records), _curves(records)] if records else []


def _ends(results: Results, records: list[Record]) -> Table:
    names = ("Test", "High hold-outs", "Low hold-outs", "Worst decile")
    return Table(
        caption="Accuracy at the end, bytes up and down per client, time of all rounds",
        columns=("Training", "Model", "Rounds", *names, "Bytes per client", "Time", "Outcome"),
        rows=tuple(
            (
                Cell(_name(record)),
                Cell(label(record.config["model"])),
                Cell(str(_details(record).rounds_done)),
                *(_share(results.value(record.case, name)) for name in _SHARES),
                Cell(_link_bytes(results, record)),
                Cell(format_seconds(results.value(record.case, "elapsed_s") or 0.0)),
                Cell(_details(record).verdict),
            )
            for record in records
        ),
        prose=True,
    )


def _curves(records: list[Record]) -> Table:
    curves = [
        {point.rounds_done: point.test_accuracy for point in _details(record).curve}
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
    algorithm = _details(record).label or label(config["algorithm"])
    return (
        f"{algorithm}, {config['dataset']}, {format_split(config['high_share'])},"
        f" seed {config['run_seed']}"
    )


def _link_bytes(results: Results, record: Record) -> str:
    sizes = [results.value(record.case, f"{link}_payload_bytes") for link in ("up", "down")]
    return format_bytes(sum(spent or 0.0 for spent in sizes) / record.config["clients"])


def _details(record: Record) -> TrainDetails:
    return from_json(TrainDetails, record.details)


def _share(value: float | None) -> Cell:
    return Cell(MISSING if value is None else format_percent(value))


SECTION = Section(
    group="train",
    title="Trainings",
    lead=(
        "Each is one run with one seed, partition and split. Bytes are everything that the clients"
        " send and receive, the hand-over of the base model included, divided by the number of"
        " clients. The record lists all other options."
    ),
    sentences=(train_sentences,),
    tables=(train_tables,),
    definitions={
        "Accuracy of a training": (
            "The share of the test split that is classified correctly. High and low hold-outs are"
            " what each group’s clients keep back, pooled. The worst decile is the tenth of the"
            " clients with the lowest accuracy on their own hold-outs."
        )
    },
    command="zobench train --out DIR",
    optional=True,
)
