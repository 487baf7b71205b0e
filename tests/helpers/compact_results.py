"""Write records and cells in this version's form and layout; what they say stays the same.

Times of cells end at a tenth of a millisecond, and fields with their default are left out.

``python tests/helpers/compact_results.py [FOLDER]`` rewrites those below results/, or a folder.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Final

from bench.records.details.by_group import DETAILS
from bench.records.store import RECORDS, layout, replacing
from bench.records.typed_json import from_json, to_json
from bench.sweeps.cell import CELLS, SCHEMA, CellResult, CellTraining

TIMES: Final = re.compile("_s$|^seconds")  # names of fields


def compact_cell(data: dict[str, Any]) -> str:
    """Write a cell's result; of what it says only times lose digits."""
    if data["schema"] != SCHEMA:
        data = CellResult.from_json(data).to_json()
    if data["training"] is not None:
        data = data | {"training": without_defaults(data["training"])}
    return layout(with_short_times(data), levels=1)


def without_defaults(training: dict[str, Any]) -> dict[str, Any]:
    """Return a cell's training without fields that have their default: reading adds them."""
    unset = {f.name: to_json(default) for f in fields(CellTraining) for default in [_default(f)]}
    return {name: part for name, part in training.items() if part != unset[name]}


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def with_short_times(part: Any, *, is_time: bool = False) -> Any:
    """Return a JSON value whose times, in seconds, end at 0.1 ms."""
    if isinstance(part, dict):
        return {
            name: with_short_times(each, is_time=is_time or bool(TIMES.search(name)))
            for name, each in part.items()
        }
    if isinstance(part, list):
        return [with_short_times(each, is_time=is_time) for each in part]
    return round(part, 4) if is_time and isinstance(part, float) else part


def compact_record(data: dict[str, Any]) -> str:
    """Write a record with its curves as columns."""
    details = data["details"]
    if not details:
        return layout(data)
    kind = DETAILS[data["group"]]
    found = from_json(kind, details)
    written = to_json(found)
    if from_json(kind, written) != found:
        raise ValueError(f"details of {data['case']} change when they are written")
    kept = {name: part for name, part in written.items() if name in details}
    return layout(data | {"details": kept})


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
