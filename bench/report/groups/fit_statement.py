"""Does a training step fit? The sentence, and the memories that measured peaks are held against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.format import label, percent, size
from bench.records.record_index import Results
from bench.records.step_memory import HOST, step_memory
from bench.report.groups.statements import STEP_BATCH

BOARDS = {"a 512 MiB board": 512 << 20, "a 1 GiB board": 1 << 30, "a 4 GiB board": 4 << 30}
# Why a step has no peak, where memory is the reason or may be: its record's status -> words.
OUT_OF_MEMORY = {"does not fit": "does not fit", "killed": "was killed"}
_TRAINING = ("zo", "fedavg")


def whole_peak(results: Results, model: str, method: str, batch: int) -> float | None:
    """Return all the memory that a step's process takes, in bytes: libraries, weights and step."""
    return results.value(f"memory/{model}/{method}/b{batch}", step_memory(results).whole)


def memories_held_against(results: Results) -> Mapping[str, int]:
    """Name the memories, in bytes, that peaks are held against: boards', or the accelerator's own.

    Returns:
        Empty for steps on an accelerator whose memory is not known.
    """
    if step_memory(results) is HOST:
        return BOARDS
    accelerator = _device(results).get("accelerator") or {}
    memory = accelerator.get("memory_bytes")
    return {accelerator["name"]: memory} if memory else {}


def fit_sentence(results: Results) -> str | None:
    """Say what memory a training step takes, by method, and on how small a board it fits."""
    models = results.models("memory")
    if not models:
        return None
    told = [words for m in _TRAINING if (words := _told(results, models[0], m))]
    if not told:
        return f"No training step of {label(models[0])} gave a peak in this run."
    return (
        f"Does {label(models[0])} fit? {step_memory(results).whole_name}, in a training step on"
        f" {_where(results)}: {'; '.join(told)}."
    )


def _told(results: Results, model: str, method: str) -> str:
    """Tell a method's peak at the paper's batch; before another's, why the paper's has none."""
    lacking: dict[str, list[str]] = {}
    found = []
    for batch in sorted(results.batches("memory", model), key=lambda b: (b != STEP_BATCH, -b)):
        peak = whole_peak(results, model, method, batch)
        if peak is not None:
            found = [f"with batch {batch} takes {size(peak)}, {_held_against(results, peak)}"]
            break
        case = f"memory/{model}/{method}/b{batch}"
        if case in results.by_case:
            reason = results.reason(case, step_memory(results).whole)
            words = OUT_OF_MEMORY.get(reason, f"gave no peak ({reason})")
            lacking.setdefault(words, []).append(str(batch))
    why = [f"with batch {' and '.join(batches)} {words}" for words, batches in lacking.items()]
    return f"{label(method)} {', '.join([*why, *found])}" if why or found else ""


def _held_against(results: Results, peak_bytes: float) -> str:
    memories = memories_held_against(results)
    if step_memory(results) is HOST:
        fitting = (board for board, memory in memories.items() if peak_bytes < memory)
        board = next(fitting, None)
        return f"less than {board} has" if board else "more than a 4 GiB board has"
    share = next((peak_bytes / memory for memory in memories.values()), None)
    return "of a memory not known" if share is None else f"{percent(share)} of its memory"


def _where(results: Results) -> str:
    device = _device(results)
    if step_memory(results) is HOST:
        memory, name = device.get("memory_bytes"), "this machine"
    else:
        accelerator = device.get("accelerator") or {}
        memory, name = accelerator.get("memory_bytes"), accelerator.get("name", "this device")
    return f"{name} ({size(memory)})" if memory else str(name)


def _device(results: Results) -> Mapping[str, Any]:
    """Return the profile of the machine that measured memory."""
    return next(iter(results.group("memory"))).provenance.device
