"""Write records and cells in this version's form and layout; what they say stays the same.

``python tests/helpers/compact_results.py [FOLDER]`` rewrites those below results/, or a folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bench.records.details.by_group import DETAILS
from bench.records.store import RECORDS, layout, replacing
from bench.records.typed_json import from_json, to_json
from bench.sweeps.cell import CELLS, SCHEMA, CellResult


def compact_cell(data: dict[str, Any]) -> str:
    """Write a cell's result; only one of an earlier schema changes its form."""
    if data["schema"] == SCHEMA:
        return layout(data, levels=1)
    return layout(CellResult.from_json(data).to_json(), levels=1)


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
