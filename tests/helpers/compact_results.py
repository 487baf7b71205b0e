"""Write records and cells in this version's form and layout; what they say stays the same.

Times of cells and curves end at a tenth of a millisecond, and accuracies at a millionth: of a
record those in its curves, of a cell those by which no rate was chosen.  So do the samples of a
table and of the group accuracy.  A cell's scalar noise ends at 1e-9, and its fields with their
default are left out.

``python tests/helpers/compact_results.py [FOLDER]`` rewrites those below results/, or a folder.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, replace
from pathlib import Path
from typing import Any, Final

from bench.records.details.by_group import DETAILS
from bench.records.record import Metric, Record
from bench.records.store import RECORDS, layout, replacing
from bench.records.typed_json import from_json, to_json
from bench.sweeps.cell import CELLS, SCHEMA, CellResult, CellTraining

Decimals = Mapping[re.Pattern[str], int]  # by the names of fields
CURVES: Final = ("curve", "curves")
_TIMES: Final[Decimals] = {re.compile("_s$|^seconds"): 4}
OF_CELLS: Final[Decimals] = _TIMES | {
    re.compile("^(test|worst_decile)_accuracy$|^zero_share$|^chance_level$"): 6,
    re.compile("^(relative_rms|scale)$"): 9,  # of the scalar noise
}
OF_CURVES: Final[Decimals] = _TIMES | {re.compile("accuracy$|^(mean|high|low)$"): 6}


def compact_cell(data: dict[str, Any]) -> str:
    """Write a cell's result; of what it says only times, accuracies and noise lose digits."""
    if data["schema"] != SCHEMA:
        data = CellResult.from_json(data).to_json()
    if data["training"] is not None:
        data = data | {"training": without_defaults(data["training"])}
    return layout(shorten(data, OF_CELLS), levels=1)


def without_defaults(training: dict[str, Any]) -> dict[str, Any]:
    """Return a cell's training without fields that have their default: reading adds them."""
    unset = {f.name: to_json(default) for f in fields(CellTraining) for default in [_default(f)]}
    return {name: part for name, part in training.items() if part != unset[name]}


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def shorten(part: Any, decimals: Decimals, digits: int | None = None) -> Any:
    """Return a JSON value whose numbers end at a digit that the names of their fields tell."""
    if isinstance(part, dict):
        return {
            name: shorten(
                each, decimals, next((decimals[p] for p in decimals if p.search(name)), digits)
            )
            for name, each in part.items()
        }
    if isinstance(part, list):
        return [shorten(each, decimals, digits) for each in part]
    return part if digits is None or not isinstance(part, float) else round(part, digits)


def with_short_curves(part: Any) -> Any:
    """Return a JSON value in which the numbers of each curve are short."""
    if isinstance(part, dict):
        return {
            name: shorten(each, OF_CURVES) if name in CURVES else with_short_curves(each)
            for name, each in part.items()
        }
    return [with_short_curves(each) for each in part] if isinstance(part, list) else part


def compact_record(data: dict[str, Any]) -> str:
    """Write a record with its curves as columns, and accuracies with short numbers."""
    if data["group"] in ("accuracy", "tables"):
        data = with_short_samples(data)
    details = data["details"]
    if not details:
        return layout(data)
    kind = DETAILS[data["group"]]
    found = from_json(kind, details)
    written = to_json(found)
    if from_json(kind, written) != found:
        raise ValueError(f"details of {data['case']} change when they are written")
    kept = {name: part for name, part in written.items() if name in details}
    return layout(data | {"details": with_short_curves(kept)})


def with_short_samples(data: dict[str, Any]) -> dict[str, Any]:
    """Let samples end at a millionth; what follows from them follows again."""
    record = Record.from_json(data)
    metrics = {
        name: Metric.mean([round(each, 6) for each in metric.samples], metric.unit, metric.method)
        if metric.statistic == "mean"
        else metric
        for name, metric in record.metrics.items()
    }
    return data | {"metrics": replace(record, metrics=metrics).to_json()["metrics"]}


def compact(folder: Path) -> None:
    """Rewrite all files below a folder."""
    for path in sorted(folder.glob("**/*.json")):
        write = {RECORDS: compact_record, CELLS: compact_cell}.get(path.parent.name)
        if write is not None:
            text = write(json.loads(path.read_text(encoding="utf-8")))
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    compact(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
