"""The JSON Schema of details, generated from their dataclasses.

Run ``python -m bench.records.details.schema`` after a change of a dataclass.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.records.details.by_group import DETAILS, NoDetails
from bench.records.typed_json import schema_of

DETAILS_SCHEMA_FILE = Path(__file__).with_name("details.schema.json")


def details_schema() -> dict[str, Any]:
    """Build the schema of a record's group and details."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Details of a record, by group",
        "type": "object",
        "properties": {"group": {"enum": sorted(DETAILS)}},
        "allOf": [_rule(group, kind) for group, kind in DETAILS.items()],
    }


def _rule(group: str, kind: Any) -> dict[str, Any]:
    allowed = NoDetails if kind is NoDetails else kind | NoDetails
    return {
        "if": {"properties": {"group": {"const": group}}},
        "then": {"properties": {"details": schema_of(allowed)}},
    }


def write_schema() -> None:
    """Write the schema's file."""
    text = json.dumps(details_schema(), indent=1)
    DETAILS_SCHEMA_FILE.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_schema()
