"""The tables of the study of split directions, from its cells.

``python -m bench.replication.split_tables docs/split-directions.md`` rewrites them in the page.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.records.paired import PairedDifference, paired_difference
from bench.replication import rate_range
from bench.replication.split_study import (
    BUDGETS,
    CANDIDATES,
    OUT,
    PAPER,
    Budget,
    choose,
    compared_cells,
    score,
)
from bench.sweeps.cell import CellStore, CellTraining

_BEGIN: Final = "<!-- study: generated -->\n"
_END: Final = "\n<!-- end of study -->"
_IN_A_ROW: Final = 3  # evaluations at or above an accuracy, for it to be reached


def tables(store: CellStore) -> str:
    """Write the tables of every budget that has results."""
    parts = [
        part for budget in BUDGETS for part in (_search(budget, store), _compared(budget, store))
    ]
    parts.append(rate_range.tables(store))
    return "\n\n".join(part for part in parts if part) or "No run has been made yet."


def fill(page: str, store: CellStore) -> str:
    """Return a page with the tables between its markers made anew."""
    before, _, rest = page.partition(_BEGIN)
    return f"{before}{_BEGIN}{tables(store)}{_END}{rest.partition(_END)[2]}"


def _search(budget: Budget, store: CellStore) -> str:
    rows = [
        f"| {split} | {_name(method)} | {each['splits']} | {each['zo_server_lr']:g} "
        f"| {100 * found:.1f} % | {'chosen' if each == chosen else ''} |"
        for split in budget.splits
        for method in budget.methods
        for chosen in [choose(budget, method, split, store)]
        for each in CANDIDATES[method]
        if (found := score(budget, each, split, store)) is not None
    ]
    seeds = budget.search_seeds
    head = f"**{budget.name}: the search**, accuracy over all hold-outs, search seeds: {seeds}\n\n"
    head += "| split | method | k | rate | hold-outs | |\n|---|---|---|---|---|---|\n"
    return head + "\n".join(rows) if rows else ""


def _compared(budget: Budget, store: CellStore) -> str:
    rows = [
        row
        for split in budget.splits
        for method in budget.methods
        if (row := _row(budget, method, split, store))
    ]
    head = f"**{budget.name}**, test accuracy at the end, fresh seeds, equal item-forwards\n\n"
    head += (
        "| split | method | seeds | mean | difference, 95 % interval | forwards to ZOWarmUp's end"
    )
    head += " | scalars up, down per client and round | a client's peak tensors |\n"
    head += "|---|---|---|---|---|---|---|---|\n"
    return head + "\n".join(rows) if rows else ""


def _row(budget: Budget, method: str, split: str, store: CellStore) -> str:
    ours, theirs = (_trainings(budget, m, split, store) for m in (method, PAPER))
    if not ours:
        return ""
    pairs = [(ours[seed], theirs[seed]) for seed in ours if seed in theirs]
    accuracies = [_final(training) for training in ours.values()]
    difference, share = "-", "100 %"
    if method != PAPER and pairs:
        difference = _points(paired_difference([_final(a) - _final(b) for a, b in pairs]))
        share = _median([forwards_to(a, _final(b), budget) for a, b in pairs])
    return (
        f"| {split} | {_name(method)} | {len(ours)} | {100 * statistics.fmean(accuracies):.1f} % "
        f"| {difference} | {share} | {_scalars(budget, method, split, store)} "
        f"| {_peak(ours)} |"
    )


def forwards_to(training: CellTraining, accuracy: float, budget: Budget) -> float | None:
    """Return the share of the rounds after the pivot until an accuracy is reached; None for never.

    Reached is the first of three evaluations in a row at or above it.
    """
    pivot, rounds = budget.base["pivot"], budget.base["rounds"]
    curve = [point for point in training.curve if point.rounds_done > pivot]
    for at in range(len(curve) - _IN_A_ROW + 1):
        if all(p.accuracy >= accuracy for p in curve[at : at + _IN_A_ROW]):
            return float((curve[at].rounds_done - pivot) / (rounds - pivot))
    return None


def _trainings(
    budget: Budget, method: str, split: str, store: CellStore
) -> dict[int, CellTraining]:
    chosen = choose(budget, method, split, store)
    if chosen is None:
        return {}
    found = ((cell, store.done(cell)) for cell in compared_cells(budget, chosen, split))
    return {
        cell.config.run_seed: result.training
        for cell, result in found
        if result is not None and result.training is not None
    }


def _scalars(budget: Budget, method: str, split: str, store: CellStore) -> str:
    chosen = choose(budget, method, split, store)
    assert chosen is not None  # it has runs
    count = 3 * chosen["splits"]
    up = 4 + -(-count // 8) if chosen.get("scalars") == "sign" else 4 * count
    return f"{up} B, {50 * up:,} B"


def _peak(trainings: Mapping[int, CellTraining]) -> str:
    peaks = next(iter(trainings.values())).client_peak_bytes or {}
    low = peaks.get("low")
    return "-" if low is None else f"{low / 2**10:.0f} KiB"


def _final(training: CellTraining) -> float:
    return training.last.accuracy


def _points(difference: PairedDifference) -> str:
    mean = f"{100 * difference.mean:+.1f} points"
    if difference.interval is None:
        return f"{mean} (too few pairs for an interval)"
    low, high = difference.interval
    return f"{mean} ({100 * low:+.1f} to {100 * high:+.1f})"


def _median(shares: Sequence[float | None]) -> str:
    known: Iterator[float] = (share if share is not None else float("inf") for share in shares)
    middle = statistics.median(known)
    return "not reached" if middle == float("inf") else f"{100 * middle:.0f} %"


def _name(method: str) -> str:
    return {
        "zowarmup": "ZOWarmUp (k = 1)",
        "split": "split",
        "sign": "split, 1 bit",
        "scheduled": "split, cosine schedule",
    }[method]


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(fill(path.read_text(), CellStore.below(OUT)))
