"""Accuracy on the digits by known and by unseen writers, as docs/data.md shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.records.case_name import CaseName, place_key
from bench.records.record import Record
from bench.records.store import RECORDS, read_records

CASE: Final = CaseName.of("tables", "writers")
_METHODS: Final = {
    "high-res-only": "High-Res-Only",
    "zowarmup": "ZOWarmUp",
    "fedavg": "FedAvg, all clients",
}
_DATASETS: Final = {"digits": "known writers", "digits-writers": "unseen writers"}
_SPLITS: Final = ("10/90", "50/50")


def writers_table(results: Path) -> str:
    """Write the table from the committed record, in Markdown.

    Args:
        results: the folder of committed records.

    Returns:
        The table, with its number of seeds and its source.

    Raises:
        ValueError: there is no record, or more than one.
    """
    paths = sorted(results.glob(f"*/*/{RECORDS}/{CASE.file_name}"))
    (folder,) = (path.parents[1] for path in paths)
    (record,) = (each for each in read_records(folder) if each.case == str(CASE))
    return "\n".join([*_rows(record), "", _source(record, folder.relative_to(results))])


def _rows(record: Record) -> Iterator[str]:
    places = [(split, dataset) for split in _SPLITS for dataset in _DATASETS]
    yield "| | " + " | ".join(f"{s}, {_DATASETS[d]}" for s, d in places) + " |"
    yield "|---" * (1 + len(places)) + "|"
    for method, name in _METHODS.items():
        cells = [_accuracy(record, f"{method}-{dataset}", split) for split, dataset in places]
        yield f"| {name} | {' | '.join(cells)} |"


def _accuracy(record: Record, row: str, split: str) -> str:
    metric = record.metrics[f"{place_key(row, split)}/test_accuracy"]
    if metric.value is None or metric.std is None:
        return f"– (n = {metric.n})"
    return f"{100 * metric.value:.1f} ± {100 * metric.std:.1f} (n = {metric.n})"


def _source(record: Record, run: Path) -> str:
    base = record.config["base"]
    return (
        "Test accuracy in percent, mean ± standard deviation over n seeds,"
        f" {base['rounds']} rounds; [records](../results/{run}/{RECORDS}). FedAvg does not depend"
        " on the split. Learning rates were searched on the known writers. Repeat it with"
        " `zobench run --only writers --out DIR`."
    )
