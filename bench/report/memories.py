"""The memories that a step's process has to fit in: those of boards, or of the accelerator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.boards import BOARDS, Memory, Verdict
from bench.format import percent
from bench.records.record_index import Results
from bench.records.step_memory import HOST, step_memory


def memories_of(results: Results) -> Sequence[Memory]:
    """List the memories that peaks are compared with; none for an unknown device."""
    if step_memory(results) is HOST:
        return BOARDS
    memory = accelerator_of(results)
    return [] if memory is None else [memory]


def accelerator_of(results: Results) -> Memory | None:
    """Return the GPU's name and memory, as a step asked the driver or the profile has it."""
    profile = device_of(results).get("accelerator") or {}
    totals = (results.value(record.case, "device_total") for record in results.group("memory"))
    total = next(filter(None, totals), None) or profile.get("memory_bytes")
    return Memory(name=profile.get("name", "the GPU"), memory_bytes=int(total)) if total else None


def device_of(results: Results) -> Mapping[str, Any]:
    """Return the profile of the machine that measured memory."""
    return next(iter(results.group("memory"))).provenance.device


def against_memories(results: Results, peak_bytes: float) -> str:
    """Write in which memory a process fits, e.g. "fits in 512 MiB, tight"."""
    memories = memories_of(results)
    if not memories:
        return "of unknown memory"
    if step_memory(results) is not HOST:
        return f"{percent(peak_bytes / memories[0].memory_bytes)} of its memory"
    smallest = smallest_that_fits(memories, peak_bytes)
    if smallest is None:
        return f"more than {memories[-1].name}"
    tight = smallest.verdict(peak_bytes) is Verdict.TIGHT
    return f"fits in {smallest.name}{', tight' if tight else ''}"


def smallest_that_fits(memories: Sequence[Memory], peak_bytes: float) -> Memory | None:
    """Return the first memory in which a process fits."""
    fitting = (m for m in memories if m.verdict(peak_bytes) is not Verdict.DOES_NOT_FIT)
    return next(fitting, None)
