"""The memories that a step's process has to fit in: those of boards, or of the accelerator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.boards import BOARDS, Memory, Verdict
from bench.records.record_index import Results
from bench.records.step_memory import HOST, step_memory

# The colour of each verdict.
TONES = {Verdict.FITS: "good", Verdict.TIGHT: "tight", Verdict.DOES_NOT_FIT: "bad"}


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


def smallest_that_fits(memories: Sequence[Memory], peak_bytes: float) -> Memory | None:
    """Return the first memory in which a process fits."""
    fitting = (m for m in memories if m.verdict(peak_bytes) is not Verdict.DOES_NOT_FIT)
    return next(fitting, None)
