"""Checks of record files: the schema, then what one field must be because of another."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.records.case_name import CaseName
from bench.records.details.schema import DETAILS_SCHEMA_FILE
from bench.records.record import Record, config_hash, require_schema
from bench.records.step_memory import implausible_peak, unexplained_peak

SCHEMA_FILE = Path(__file__).with_name("record.schema.json")
_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "single": lambda samples: samples[0],
    "median": statistics.median,
    "mean": statistics.fmean,
}
_TOLERANCE = 1e-9  # relative, of a mean that another program computes


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found in one file."""

    path: Path
    problems: tuple[str, ...]  # each names the place and the rule; none: the record is valid
    remarks: tuple[str, ...]  # what a reader must know of a valid record

    def to_json(self) -> dict[str, Any]:
        """Return the findings as plain JSON data."""
        found = {"problems": list(self.problems), "remarks": list(self.remarks)}
        return {"path": str(self.path), "valid": not self.problems} | found


def check_file(path: Path) -> Checked:
    """Check one record's file.

    Args:
        path: a JSON file of this program's schema.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        require_schema(data)
    except (ValueError, AttributeError) as error:
        return Checked(path=path, problems=(f"not a record: {error}",), remarks=())
    problems = list(_schema_problems(data))
    if not problems:
        problems = [*_sum_problems(data), *_name_problems(data, path), *_peak_problems(data)]
    remarks = () if problems else tuple(_remarks(data))
    return Checked(path=path, problems=tuple(problems), remarks=remarks)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a JSON number; what is not measured is null with a reason")


@cache
def _validators() -> tuple[Any, ...]:
    from jsonschema import Draft202012Validator

    # One for each schema, as its root: a schema inside another is searched anew for every $ref.
    files = (SCHEMA_FILE, DETAILS_SCHEMA_FILE)
    return tuple(Draft202012Validator(json.loads(file.read_text("utf-8"))) for file in files)


def _schema_problems(data: Any) -> Iterator[str]:
    found = [error for validator in _validators() for error in validator.iter_errors(data)]
    for error in sorted(found, key=lambda error: _place(error.path)):
        rule = error.schema.get("description", "") if isinstance(error.schema, Mapping) else ""
        yield f"{_place(error.path)}: {error.message}{f' ({rule})' if rule else ''}"


def _place(path: Any) -> str:
    return ".".join(map(str, path)) or "the record"


def _sum_problems(data: Mapping[str, Any]) -> Iterator[str]:
    """Say which derived figures do not follow from what they are derived from."""
    if data["config_hash"] != config_hash(data["config"]):
        yield f"config_hash: must be {config_hash(data['config'])}, the hash of config"
    for name, metric in data["metrics"].items():
        for key, expected in _expected(metric).items():
            if not _is_same(metric[key], expected):
                yield f"metrics.{name}.{key}: must be {expected}, as the samples say"


def _expected(metric: Mapping[str, Any]) -> dict[str, Any]:
    samples = metric["samples"]
    several = len(samples) > 1
    expected: dict[str, Any] = {
        "n": len(samples),
        "spread": [min(samples), max(samples)] if several else None,
        "std": statistics.stdev(samples) if several else None,
    }
    if metric["value"] is not None:
        expected["value"] = _STATISTICS[metric["statistic"]](samples)
    return expected


def _is_same(found: Any, expected: Any) -> bool:
    if isinstance(found, float | int) and isinstance(expected, float | int):
        return math.isclose(found, expected, rel_tol=_TOLERANCE, abs_tol=1e-12)
    return bool(found == expected)


def _name_problems(data: Mapping[str, Any], path: Path) -> Iterator[str]:
    name, device = CaseName.parse(data["case"]), data["provenance"]["device"]
    if name.group != data["group"]:
        yield f"group: must be {name.group}, the first part of case"
    if path.name != name.file_name:
        yield f"the file must be named {name.file_name} after its case"
    for field, value in device.items():
        if value is None and field not in device["notes"]:
            yield f"provenance.device.notes: must say why {field} is null"


def _peak_problems(data: Mapping[str, Any]) -> Iterator[str]:
    record = Record.from_json(data)
    problem = implausible_peak(record.config.get("device", "cpu"), record.metrics)
    if problem is not None:
        yield f"metrics.{problem}"


def _remarks(data: Mapping[str, Any]) -> Iterator[str]:
    record = Record.from_json(data)
    origin = record.provenance
    if origin.dirty:
        yield "made with uncommitted changes: its commit does not say what ran"
    if origin.commit is None:
        yield f"{origin.commit_reason or 'made outside of a checkout'}: no commit says what ran"
    if origin.division == "open":
        yield "open division: not one of the suite's fixed cases"
    if origin.device["emulator"]:
        yield f"emulated by {origin.device['emulator']}: it has no time and no memory"
    unexplained = unexplained_peak(record.config.get("device", "cpu"), record.metrics)
    if unexplained is not None:
        yield unexplained
    if record.status != "ok":
        yield f"{record.status}: {record.error}"
