"""Records of older versions, brought to the present one: a step for each version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

SCHEMA = "zobench-record/2"

Data = Mapping[str, Any]
_SUITE_SCALES = ("smoke", "default", "laptop")


def migrate(data: Data) -> Data:
    """Bring a record's data to the present schema.

    Args:
        data: a record as JSON data; it is left as it is.

    Returns:
        The same record by the present schema.

    Raises:
        ValueError: the schema is unknown, or newer than this program.
    """
    while (schema := data.get("schema")) != SCHEMA:
        if schema not in _STEPS:
            known = ", ".join(sorted({*_STEPS, SCHEMA}))
            raise ValueError(f"schema must be one of {known}, got {schema!r}; update zobench?")
        data = _STEPS[schema](data)
    return data


def _from_1(data: Data) -> Data:
    """Version 2 added the division and the emulator; no machine before it was emulated."""
    origin = data["provenance"]
    device = origin["device"]
    notes = {"emulator": "not looked for by this version"} | dict(device.get("notes", {}))
    return {
        **data,
        "schema": "zobench-record/2",
        "provenance": {
            **origin,
            "division": "closed" if _is_fixed(data) else "open",
            "device": {**device, "emulator": None, "notes": notes},
        },
    }


def _is_fixed(data: Data) -> bool:
    """Tell the suite's own cases, as far as version 1 lets one."""
    return data["provenance"]["scale"] in _SUITE_SCALES or data["case"] == "fit/grid"


_STEPS: dict[Any, Callable[[Data], Data]] = {"zobench-record/1": _from_1}
