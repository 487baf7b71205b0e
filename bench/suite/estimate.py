"""How long a run takes: as the last run here at the same scale, or as on the reference machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Final

from bench.records.store import RECORDS
from bench.suite.folder import FOLDER_FORMAT

_REFERENCE: Final = "measured on a 2-core x86 server"
_REFERENCE_S: Final[Mapping[str, Mapping[str, float]]] = {  # by scale and group
    "smoke": {
        **{"memory": 10, "bytes": 24, "formulas": 24, "time": 6},
        **{"engine": 38, "accuracy": 40, "frontier": 11},
    },
    "default": {
        **{"memory": 65, "bytes": 3, "formulas": 20, "time": 55},
        **{"edge": 15, "engine": 32, "accuracy": 43, "frontier": 7},
    },
    "laptop": {
        **{"memory": 1300, "bytes": 9, "formulas": 41, "time": 490},
        **{"engine": 610, "accuracy": 2800, "frontier": 1230},
    },
}
_LONGEST_S: Final = 1800.0  # a longer gap between two records is a pause, not a case


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds by group, and where they come from."""

    seconds: Mapping[str, float]  # a group without an entry has no estimate
    basis: str


def estimate(scale: str, folder: Path) -> Estimate:
    """Estimate the time of each group.

    Args:
        scale: name of the scale.
        folder: contains the output folders of earlier runs, named by their time.
    """
    for run in sorted(folder.glob(f"*/{RECORDS}"), reverse=True):
        rows = list(_rows(run, scale))
        if rows:
            rows += _start(run.parent.name)
            return Estimate(_seconds(rows), f"as in the last run at this scale, {run.parent}")
    return Estimate(_REFERENCE_S.get(scale, {}), _REFERENCE)


def _rows(records: Path, scale: str) -> Iterator[tuple[datetime, str]]:
    """Yield the time and group of each record of a run, if it is of the scale."""
    for path in records.glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["provenance"]["scale"] == scale:
            yield datetime.fromisoformat(record["provenance"]["created"]), record["group"]


def _start(name: str) -> list[tuple[datetime, str]]:
    """Read the start of a run from the name of its folder; nothing if that is another name."""
    with suppress(ValueError):
        return [(datetime.strptime(name, FOLDER_FORMAT).replace(tzinfo=timezone.utc), "")]
    return []


def _seconds(rows: Sequence[tuple[datetime, str]]) -> dict[str, float]:
    """Sum the time from each record to the next by the group of the later one."""
    seconds: dict[str, float] = {}
    for (before, _), (after, group) in pairwise(sorted(rows)):
        passed = (after - before).total_seconds()
        if passed < _LONGEST_S:
            seconds[group] = seconds.get(group, 0.0) + passed
    return seconds
