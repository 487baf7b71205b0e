"""The README's first figures: what a client's round costs, and what accuracy it reaches."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.format import MISSING, format_bytes, format_percent, format_points, format_seconds
from bench.paper import BATCH, CLIENT_IMAGES, COHORT, DIRECTIONS, is_zo
from bench.records.case_name import CaseName
from bench.records.details.training import AccuracyDetails
from bench.records.paired import PairedDifference, compare_on_seeds
from bench.records.record_index import Results
from bench.records.store import read_records
from bench.report.costs import DOWN, ROUND, UP, memory_figure, whole_figure
from bench.report.paper_claims import CLAIMS
from bench.report.replicated_table import ReplicatedTable
from bench.report.results_page import amount
from bench.report.table import interval_text

STEPS = (Path("xeon-2core/default"), Path("xeon-2core/laptop"))  # a later folder's record counts
CLIENT = Path("xeon-2core/edge")
TRAININGS = Path("epyc-2core/laptop")
CIFAR10 = Path("epyc-2core/tables-cifar10")
_ROWS = {  # method of the groups memory and time -> its row's name
    "inference": "inference only",
    "zo": "ZO",
    "zo-by-8": "ZO, micro-batches of 8",
    "fedavg": "backprop",
    "backprop-least": "backprop, most memory-efficient",
}
_CLIENT_ROUND = CaseName.edge("resnet18", "onnx-memory", 8, CLIENT_IMAGES)
_TARGET = 0.9  # test accuracy whose rounds are compared


def first_screen(results: Path) -> str:
    """Write the cost table and the sentences on accuracy.

    Args:
        results: the folder of committed records.

    Returns:
        Markdown.
    """
    return "\n".join([*cost_lines(results), "", *accuracy_lines(results)])


def cost_lines(results: Path) -> Iterator[str]:
    """Write the cost of a ResNet18 round by method, and how it was measured."""
    steps = Results.of(record for folder in STEPS for record in read_records(results / folder))
    yield "| one client, ResNet18 | whole process | above the model | time | bytes per round |"
    yield "|---|---|---|---|---|"
    for method, name in _ROWS.items():
        yield _row(name, _step_cells(steps, method), _bytes_cell(steps, method))
    client = Results.of(read_records(results / CLIENT))
    yield _row("ZO client without torch", _client_cells(client), _bytes_cell(steps, "zo"))
    yield ""
    yield (
        f"Time is a client's round: {CLIENT_IMAGES} images, {DIRECTIONS} directions with ZO, three"
        f" epochs with backprop. Batch {BATCH}, 2 Intel Xeon cores; the last row: batch 8, 2 AMD"
        f" EPYC cores. Bytes are payloads, up and down, in a cohort of {COHORT}."
    )


def accuracy_lines(results: Path) -> Iterator[str]:
    """Write where low-resource clients help, where they make no difference, where backprop wins."""
    trained = Results.of(read_records(results / TRAININGS))
    yield _gain_sentence(trained, "10-90")
    yield _equal_sentence(trained, "50-50") + _cifar10_clause(results / CIFAR10)
    yield _backprop_sentence(trained, "10-90")


def _row(name: str, cells: Sequence[str], sent: str) -> str:
    return f"| {name} | {' | '.join(cells)} | {sent} |"


def _step_cells(results: Results, method: str) -> list[str]:
    figures = (whole_figure(results), memory_figure(results), ROUND)
    return [amount(f, f.value(results, "resnet18", method, BATCH)) for f in figures]


def _client_cells(results: Results) -> list[str]:
    names = {
        "process_peak": format_bytes,
        "peak_above_baseline": format_bytes,
        "round": format_seconds,
    }
    values = [(results.value(_CLIENT_ROUND, name), write) for name, write in names.items()]
    return [MISSING if value is None else write(value) for value, write in values]


def _bytes_cell(results: Results, method: str) -> str:
    if method == "inference":
        return MISSING
    sender = "zo" if is_zo(method) else "fedavg"
    up, down = (amount(f, f.value(results, "resnet18", sender, None)) for f in (UP, DOWN))
    return f"{up} up, {down} down"


def _difference(results: Results, split: str) -> tuple[list[float], PairedDifference]:
    """Return both accuracies, High-Res-Only's first, and their paired difference."""
    cases = [CaseName.accuracy(name, split) for name in ("high-res-only", "zowarmup")]
    accuracies = [results.value(case, "test_accuracy") or 0.0 for case in cases]
    found = compare_on_seeds(results.record(cases[1]), results.record(cases[0]), "test_accuracy")
    if found is None:
        raise ValueError(f"{TRAININGS} has no two trainings at {split} that share a seed")
    return accuracies, found


def _spread(found: PairedDifference) -> str:
    interval = interval_text(found)
    return f"{format_points(found.mean)} points, 95 % interval {interval}, {found.n} seeds"


def _gain_sentence(results: Results, split: str) -> str:
    (without, included), found = _difference(results, split)
    low = split.split("-")[1]
    return (
        f"- **With {low} % low-resource clients, including them helps**:"
        f" {format_percent(without)} test accuracy without them, {format_percent(included)}"
        f" with them by ZO ({_spread(found)}; digits)."
    )


def _equal_sentence(results: Results, split: str) -> str:
    (without, included), found = _difference(results, split)
    words = "shows no significant difference" if found.sign == 0 else "differs"
    return (
        f"- **With {split.split('-')[1]} % the result {words}**: {format_percent(without)} and"
        f" {format_percent(included)} ({_spread(found)})"
    )


def _cifar10_clause(folder: Path) -> str:
    """Say at how many splits a small network on CIFAR-10 gains significantly."""
    claim = CLAIMS[0]
    tables = [ReplicatedTable.of(record) for record in read_records(folder)]
    found = [
        difference
        for table in tables
        if table is not None
        for comparison in claim.comparisons
        for split in comparison.splits
        if (
            difference := table.difference(
                table.place(comparison.row, split),
                table.place(comparison.other, split),
                comparison.quantity,
            )
        )
    ]
    gains = sum(difference.sign == 1 for difference in found)
    return (
        f"; a small network on CIFAR-10 gains significantly at {gains or 'none'} of {len(found)}"
        " splits ([the paper's claims, tested](docs/paper-results.md))."
    )


def _backprop_sentence(results: Results, split: str) -> str:
    names = ("fedavg", "zowarmup")
    accuracy = results.value(CaseName.accuracy("fedavg", split), "test_accuracy") or 0.0
    fedavg, zowarmup = (_rounds_to_target(results, name, split) for name in names)
    return (
        f"- **With unlimited memory, backprop is faster**: FedAvg among all clients reaches"
        f" {100 * _TARGET:.0f} % after {fedavg} rounds and ends at {format_percent(accuracy)};"
        f" ZOWarmUp needs {zowarmup} rounds."
    )


def _rounds_to_target(results: Results, algorithm: str, split: str) -> str:
    """Return the first evaluated round whose mean accuracy over the seeds is at the target."""
    record = results.record(CaseName.accuracy(algorithm, split))
    details = record.details_as(AccuracyDetails) if record else None
    for moments in zip(*(details.curves if details else ()), strict=False):
        if statistics.fmean(moment.test_accuracy for moment in moments) >= _TARGET:
            return str(moments[0].rounds_done)
    return "more"
