"""Which trainings may be compared: those with at least the rounds of the suite's own two methods.

HeteroFL takes more rounds, as many as fit into FedAvg's bytes; a run with fewer is a short one.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.records.details.training import AccuracyDetails
from bench.records.record import Record
from bench.records.record_index import Results

_REFERENCES = ("zowarmup", "high-res-only")


def rounds_of(record: Record) -> int:
    """Return the rounds that a training of the group accuracy did, or was to do if it diverged."""
    details = record.details_as(AccuracyDetails)
    finished = details.finished_curves if details else ()
    planned = int(record.config.get("rounds", 0))
    return max((curve[-1].rounds_done for curve in finished), default=planned)


def reference_rounds(rounds: Mapping[str, int]) -> int:
    """Return the rounds that a training needs to be compared.

    Args:
        rounds: of each variant of one split, by its name.

    >>> reference_rounds({"fedkseed": 10, "heterofl": 205, "zowarmup": 80})
    80
    """
    return next((rounds[name] for name in _REFERENCES if name in rounds), max(rounds.values()))


def is_compared(results: Results, record: Record) -> bool:
    """Say whether a training of the group accuracy has the rounds to be compared."""
    split = [r for r in results.group("accuracy") if r.name.split == record.name.split]
    rounds = {r.name.variant: rounds_of(r) for r in split}
    return rounds[record.name.variant] >= reference_rounds(rounds)
