"""A machine in a few words, from its profile: for titles, which a host name would not help."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bench.format import format_bytes
from bench.records.record import Record

_NOISE = re.compile(
    r"\((R|TM|r|tm)\)|\bCPU\b|@.*$|\b\d+-Core\b|\b(Processor|with Radeon Graphics)\s*(?=@|$)"
)


def machine_name(device: Mapping[str, Any], *, on_accelerator: bool = False) -> str:
    """Name a machine by its chip, cores and memory.

    Args:
        device: a record's profile.
        on_accelerator: whether the steps ran on the GPU, which is then named first.

    >>> machine_name({"soc": "Intel(R) Xeon(R) Processor", "logical_cores": 2,
    ...     "memory_bytes": 8 << 30})
    'Intel Xeon, 2 cores, 8 GiB'
    """
    host = ", ".join(filter(None, (_chip(device), _cores(device), _memory(device))))
    accelerator = device.get("accelerator") or {}
    if not on_accelerator or not accelerator:
        return host
    return f"{', '.join(filter(None, (accelerator['name'], _memory(accelerator))))} ({host})"


def name_of_records(records: list[Record]) -> str:
    """Name the machine of the newest record; by the GPU where any step ran on it."""
    newest = max(records, key=lambda record: record.provenance.created)
    on_accelerator = any(record.config.get("device") == "cuda" for record in records)
    return machine_name(newest.provenance.device, on_accelerator=on_accelerator)


def _chip(device: Mapping[str, Any]) -> str:
    if emulator := device.get("emulator"):
        return f"{emulator} (emulated)"
    found = str(device.get("soc") or device.get("name") or "unknown machine")
    return " ".join(_NOISE.sub(" ", found).split())


def _cores(device: Mapping[str, Any]) -> str:
    cores = device.get("logical_cores")
    return "" if cores is None else f"{cores} core{'' if cores == 1 else 's'}"


def _memory(device: Mapping[str, Any]) -> str:
    memory = device.get("memory_bytes")
    return format_bytes(memory) if memory else ""
