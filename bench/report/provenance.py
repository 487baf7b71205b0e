"""Where the figures come from: machine, commit, how each metric was measured, raw records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.format import MISSING, format_bytes, format_instant
from bench.records.record import Provenance, Record
from bench.records.store import RECORDS
from bench.report.table import Cell, Table

# What the page shows of a machine, in order: words, and the profile's field.
_DEVICE_FIELDS = {
    "Name": "name",
    "Processor": "soc",
    "Architecture": "arch",
    "Cores": "logical_cores",
    "Threads used": "threads",
    "Memory": "memory_bytes",
    "Swap": "swap_bytes",
    "Accelerator": "accelerator",
    "System": "os",
    "Kernel": "kernel",
    "C library": "libc",
    "Python": "python",
    "Governor": "governor",
    "Power mode": "power_mode",
    "Huge pages": "huge_page_mode",
    "Libraries": "versions",
}

# What passed over the weights in ZO: a record's zo_kernel, and its words.
KERNELS = {
    "c": "C",
    "numpy": "NumPy (the C kernels were missing)",
    "triton": "Triton",
    "torch": "torch (the Triton kernels were missing)",
    None: "not recorded",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLink:
    """One raw record, as the page links to it."""

    case: str
    path: str  # relative to the page
    status: str
    config_hash: str
    dirty: bool


def device_rows(device: Mapping[str, Any]) -> list[tuple[str, Cell]]:
    """Describe a machine, with the reason where a field is unknown."""
    notes = device.get("notes") or {}
    return [
        (words, _device_cell(device.get(name), name, notes))
        for words, name in _DEVICE_FIELDS.items()
    ]


def method_table(records: Iterable[Record]) -> Table:
    """List how the metrics were measured, each method once with its metrics."""
    found: dict[tuple[str, str, str], dict[str, None]] = {}
    for record in records:
        for name, metric in record.metrics.items():
            if metric.value is not None:
                names = found.setdefault((record.group, metric.statistic, metric.method), {})
                names[name.replace("_", " ")] = None
    return Table(
        caption="How each metric was measured",
        folded=True,
        columns=("Group", "Metrics", "Statistic", "Method"),
        rows=tuple(
            (Cell(group), Cell(", ".join(names)), Cell(statistic), Cell(method))
            for (group, statistic, method), names in found.items()
        ),
        labels=3,
        prose=True,
    )


def origin_rows(records: Sequence[Record]) -> list[tuple[str, str]]:
    """List what produced the records: each value once, so a mixed folder shows as mixed."""
    origins = [record.provenance for record in records]
    created = sorted(origin.created for origin in origins)
    return [
        ("Suite", _each(origin.suite_version for origin in origins)),
        ("Commit", _each(commit_words(origin) for origin in origins)),
        ("Scale", _each(origin.scale for origin in origins)),
        ("Created", " to ".join(dict.fromkeys(map(format_instant, (created[0], created[-1]))))),
        ("Machine", _each(str(origin.device.get("name", MISSING)) for origin in origins)),
        ("ZO kernel", _each(KERNELS[origin.zo_kernel] for origin in origins)),
        ("Records", str(len(records))),
    ]


def commit_words(origin: Provenance) -> str:
    """Say what source made a record."""
    if origin.commit is None:
        return "not known (no checkout)"
    return f"{origin.commit[:12]}{' with uncommitted changes' if origin.dirty else ''}"


def record_links(records: Iterable[Record], folder: Path) -> list[RecordLink]:
    """Link to the raw records.

    Args:
        records: of the page.
        folder: the folder that contains them, relative to the page.
    """
    return [
        RecordLink(
            case=record.case,
            path=(folder / RECORDS / record.name.file_name).as_posix(),
            status=record.status,
            config_hash=record.config_hash,
            dirty=bool(record.provenance.dirty),
        )
        for record in records
    ]


def _device_cell(value: Any, name: str, notes: Mapping[str, str]) -> Cell:
    if value is None or value == {}:
        return Cell("not known", str(notes.get(name, "")))
    if name.endswith("_bytes"):
        return Cell(format_bytes(value))
    if name == "accelerator":
        memory = value.get("memory_bytes")
        return Cell(str(value["name"]), format_bytes(memory) if memory else "memory not known")
    if isinstance(value, Mapping):
        return Cell(", ".join(f"{key} {version}" for key, version in value.items()))
    return Cell(str(value))


def _each(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))
