"""The answer's tile of accuracy: ZOWarmUp against training on high-resource clients only."""

from __future__ import annotations

from bench.format import format_percent, format_points
from bench.labels import label
from bench.records.budget import is_compared
from bench.records.case_name import CaseName
from bench.records.paired import compare_on_seeds
from bench.records.record import Record
from bench.records.record_index import Results
from bench.report.bars import Bar, BarChart, metric_bar
from bench.report.groups.accuracy import sample_of
from bench.report.table import verdict
from bench.report.tile_parts import Match, Tile

_SHOWN = ("zowarmup", "high-res-only", "fedavg")
_MOST_SPLITS = 2  # those with the fewest high-resource clients; the section has all

_HIGH_RES_ONLY = "High-Res-Only trains by backprop on the clients with enough memory for it."
_FEDAVG = " FedAvg needs that memory on every client."


def accuracy_tile(results: Results) -> Tile | None:
    """Compare final test accuracies by split; None where no pair was trained."""
    matches = [match for split in results.splits() if (match := _match(results, split))]
    if not matches:
        return None
    record = next(r for s in results.splits() if (r := _record(results, "zowarmup", s)))
    has_fedavg = any(len(match.chart.bars) == len(_SHOWN) for match in matches)
    return Tile(
        title="Accuracy",
        what=f"Test accuracy on {label(record.config.get('dataset', 'the data'))};"
        f" {sample_of(record)}",
        matches=tuple(matches[:_MOST_SPLITS]),
        note=_HIGH_RES_ONLY + (_FEDAVG if has_fedavg else ""),
    )


def _match(results: Results, split: str) -> Match | None:
    ours, theirs = (_record(results, name, split) for name in _SHOWN[:2])
    found = compare_on_seeds(ours, theirs, "test_accuracy")
    if found is None or ours is None:
        return None
    records = {name: r for name in _SHOWN if (r := _record(results, name, split))}
    compared = {name: r for name, r in records.items() if is_compared(results, r)}
    high, _, low = split.partition("-")
    return Match(
        result=f"{format_points(found.mean)} points",
        name=f"with {high}\u00a0% high- and {low}\u00a0% low-resource clients: {verdict(found)}",
        chart=BarChart(caption="", bars=tuple(_bar(name, r) for name, r in compared.items())),
    )


def _record(results: Results, algorithm: str, split: str) -> Record | None:
    return results.record(CaseName.accuracy(algorithm, split))


def _bar(algorithm: str, record: Record) -> Bar:
    name = label(algorithm).partition(",")[0]
    accuracy = record.metrics["test_accuracy"]
    return metric_bar(name, algorithm, accuracy, format_percent, 1.0, words=label(algorithm))
