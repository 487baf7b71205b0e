"""Every method on the digits, as a part of the page of results: one table for each split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.format import MISSING, format_bytes, format_points
from bench.records.case_name import CaseName
from bench.records.details.tables import PlaceDetails
from bench.records.record import Record
from bench.report.replicated_table import ReplicatedTable
from bench.report.table import interval_text

EQUAL_ROUNDS = str(CaseName.of("tables", "methods"))
EQUAL_PASSES = str(CaseName.of("tables", "methods-passes"))
_ACCURACY = "test_accuracy"
_BASELINES = ("high-res-only", "zowarmup")
_PLAIN = "fedavg"  # whose memory the others' are compared with
_LEAD = """\
### Every method on the digits

Each method is trained for 80 rounds, and for as many rounds as have the item passes of ZOWarmUp's
80 at the same split (an item's forward counts 1, forward and backward 3). ZOWarmUp's pivot is at
40 % of the rounds. Each method's rate is the best of three, by accuracy on hold-outs of one seed at
10/90. Differences and bytes are those at equal item passes, the mean of n seeds with Student's 95 %
interval; bytes are encoded payloads up and down, per client of the roster. Memory is the peak of
live tensors of one client's round, with weights, data and what it keeps between rounds, and its
ratio to plain FedAvg's. ZeroFL's sparse tensors are implemented densely, so they save nothing here.
An item's pass through a part of a network counts as a whole one.
"""


def method_results(records: Mapping[str, Record]) -> Iterator[str]:
    """Yield the lines of the tables; nothing where the records are missing."""
    tables = [
        ReplicatedTable.of(records[case])
        for case in (EQUAL_ROUNDS, EQUAL_PASSES)
        if case in records
    ]
    rounds, passes = (*tables, None, None)[:2]
    if rounds is None or passes is None:
        return
    yield _LEAD
    for split in rounds.record.config["splits"]:
        yield from (f"#### {split}", "", *_split(rounds, passes, split), "")


def _split(rounds: ReplicatedTable, passes: ReplicatedTable, split: str) -> Iterator[str]:
    yield (
        "| method | rate | 80 rounds, n | equal passes, n | rounds | − High-Res-Only | − ZOWarmUp "
        "| bytes | peak low | peak high |"
    )
    yield "|---" * 10 + "|"
    places = [place for place in rounds.places if place.split == split]
    for place in sorted(places, key=lambda each: -_mean(passes, passes.place(each.row, split))):
        yield _row(rounds, passes, place)


def _row(rounds: ReplicatedTable, passes: ReplicatedTable, place: PlaceDetails) -> str:
    other = passes.place(place.row, place.split)
    cells = [
        place.label,
        _rates(passes, place.row),
        _accuracy(rounds, place),
        _accuracy(passes, other),
        f"{other.curve[-1].rounds:g}" if other is not None and other.curve else MISSING,
        *(_difference(passes, other, baseline) for baseline in _BASELINES),
        _bytes(passes, other),
        *(_memory(passes, place.row, group) for group in ("low", "high")),
    ]
    return f"| {' | '.join(cells)} |"


def _rates(table: ReplicatedTable, row: str) -> str:
    return ", ".join(f"{value:g}" for value in table.record.config["rates"][row].values())


def _mean(table: ReplicatedTable, place: PlaceDetails | None) -> float:
    metric = place and table.metric(place, _ACCURACY)
    return metric.value or 0.0 if metric else 0.0


def _accuracy(table: ReplicatedTable, place: PlaceDetails | None) -> str:
    metric = place and table.metric(place, _ACCURACY)
    if place is None or not metric or metric.value is None:
        return MISSING
    spread = "" if metric.std is None else f" ± {100 * metric.std:.1f}"
    diverged = place.outcomes.count("diverged")
    ended = f"; {diverged} diverged" if diverged else ""
    return f"{100 * metric.value:.1f}{spread}, {metric.n}{ended}"


def _difference(table: ReplicatedTable, place: PlaceDetails | None, baseline: str) -> str:
    if place is None or place.row == baseline:
        return MISSING
    found = table.difference(place, table.place(baseline, place.split), _ACCURACY)
    return MISSING if found is None else f"{format_points(found.mean)} ({interval_text(found)})"


def _bytes(table: ReplicatedTable, place: PlaceDetails | None) -> str:
    metric = place and table.metric(place, "link_bytes_per_client")
    return format_bytes(metric.value) if metric and metric.value is not None else MISSING


def _memory(table: ReplicatedTable, row: str, group: str) -> str:
    memory = table.record.config["memory"]
    peak, plain = memory[row].get(group), memory.get(_PLAIN, {}).get(group)
    if peak is None:
        return "takes no part"
    return f"{format_bytes(peak)} ({peak / plain:.2f}x)" if plain else format_bytes(peak)
