"""What fits: measured peaks against the memory of boards or of the accelerator, and trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.format import MISSING, mib, percent, size
from bench.labels import METHODS, label
from bench.records.record import Record
from bench.records.record_index import Results
from bench.records.step_memory import HOST, step_memory
from bench.report.costs import Figure, memory_figure
from bench.report.section import Section
from bench.report.table import Cell, Table

_BOARDS = {"512 MiB": 512 << 20, "1 GiB": 1 << 30, "4 GiB": 4 << 30}
# Why a step has no peak, where memory is the reason or may be: its record's status -> words.
_OUT_OF_MEMORY = {"does not fit": "does not fit", "killed": "was killed"}


def fit_sentence(results: Results) -> str | None:
    """Say how much memory a training step takes, by method, and the smallest board that has it."""
    models = results.models("memory")
    if not models:
        return None
    parts = [words for method in ("zo", "fedavg") if (words := _peak(results, models[0], method))]
    return (
        f"One training step of {label(models[0])} on {_machine(results)} needs: "
        f"{'; '.join(parts) or 'not measured'}. {step_memory(results).whole_name}."
    )


def _peak(results: Results, model: str, method: str) -> str:
    """Write a method's peak at the paper's batch, or why there is none and that of another."""
    whole = _whole(results)
    reasons: dict[str, list[str]] = {}
    for batch in whole.batches(results, model):
        peak = whole.value(results, model, method, batch)
        if peak is not None:
            words = f"{size(peak)} at batch {batch} ({_against_memories(results, peak)})"
            return f"{label(method)} {''.join(_why(reasons))}{words}"
        case = whole.case(model, method, batch)
        if results.record(case):
            reason = results.reason(case, whole.metric)
            reasons.setdefault(reason, []).append(str(batch))
    return f"{label(method)} {''.join(_why(reasons))}".rstrip("; ") if reasons else ""


def _why(reasons: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        f"{_OUT_OF_MEMORY.get(reason, f'has no peak ({reason})')} at batch {', '.join(batches)}; "
        for reason, batches in reasons.items()
    ]


def _against_memories(results: Results, peak_bytes: float) -> str:
    memories = _memories(results)
    if step_memory(results) is HOST:
        board = next((name for name, memory in memories.items() if peak_bytes < memory), None)
        return f"fits in {board}" if board else "more than 4 GiB"
    share = next((peak_bytes / memory for memory in memories.values()), None)
    return "of unknown memory" if share is None else f"{percent(share)} of its memory"


def _machine(results: Results) -> str:
    device = _device(results)
    memory, name = device.get("memory_bytes"), "this machine"
    if step_memory(results) is not HOST:
        accelerator = device.get("accelerator") or {}
        memory, name = accelerator.get("memory_bytes"), accelerator.get("name", "this device")
    return f"{name} ({size(memory)})" if memory else str(name)


def board_tables(results: Results) -> list[Table]:
    """Tabulate each step's peak against the memory of boards, or of the accelerator.

    The first model's table is open, the others are folded.
    """
    memories = _memories(results)
    if not memories:
        return []
    made = (_board_table(results, model, memories) for model in results.models("memory"))
    tables = [table for table in made if table.rows]
    return [replace(table, folded=table is not tables[0]) for table in tables]


def _board_table(results: Results, model: str, memories: Mapping[str, int]) -> Table:
    rows = [
        (Cell(f"{label(method)}, {batch}"), *cells)
        for method in METHODS
        for batch in results.batches("memory", model)
        if (cells := _step(results, model, method, batch, memories))
    ]
    memory = step_memory(results)
    whose = "a board’s memory" if memory is HOST else "the accelerator’s"
    return Table(
        caption=f"{label(model)}. {memory.whole_name}, MiB, and its share of {whose}",
        columns=("Method, batch", "Peak", *memories),
        rows=tuple(rows),
        labels=1,
    )


def _step(
    results: Results, model: str, method: str, batch: int, memories: Mapping[str, int]
) -> tuple[Cell, ...]:
    """Make the cells of a step; none where it was not measured.

    A step that did not fit here may fit a larger board, so no board is judged by it.
    """
    whole = _whole(results)
    peak = whole.value(results, model, method, batch)
    if peak is not None:
        return (Cell(mib(peak)), *(_share(peak, memory) for memory in memories.values()))
    record = results.record(whole.case(model, method, batch))
    if record is None or record.status not in _OUT_OF_MEMORY:
        return ()
    return (
        Cell(_OUT_OF_MEMORY[record.status], "on this machine"),
        *[Cell(MISSING)] * len(memories),
    )


def _share(peak_bytes: float, memory_bytes: int) -> Cell:
    share = 100 * peak_bytes / memory_bytes
    return Cell("yes" if share < 100 else "no", f"{share:.0f} %")


def _whole(results: Results) -> Figure:
    """Return the figure of all memory of a step's process: libraries, weights and step."""
    return replace(memory_figure(results), metric=step_memory(results).whole)


def _memories(results: Results) -> Mapping[str, int]:
    """Name the memories, in bytes, that peaks are compared with; none for an unknown device."""
    if step_memory(results) is HOST:
        return _BOARDS
    accelerator = _device(results).get("accelerator") or {}
    memory = accelerator.get("memory_bytes")
    return {accelerator["name"]: memory} if memory else {}


def _device(results: Results) -> Mapping[str, Any]:
    """Return the profile of the machine that measured memory."""
    return next(iter(results.group("memory"))).provenance.device


def trial_tables(results: Results) -> list[Table]:
    """Tabulate the largest batch that fitted in each device's memory, tried or predicted."""
    return [_trials(record) for record in results.group("fit") if record.details.get("cells")]


def _trials(record: Record) -> Table:
    cells: Sequence[dict[str, Any]] = record.details["cells"]
    methods = list(dict.fromkeys(cell["method"] for cell in cells))
    devices = dict.fromkeys((cell["device"], cell["limit_bytes"], cell["model"]) for cell in cells)
    rows = []
    for device, limit, model in devices:
        mine = [cell for cell in cells if (cell["device"], cell["model"]) == (device, model)]
        largest = (_largest([c for c in mine if c["method"] == method]) for method in methods)
        rows.append((Cell(device, size(limit)), Cell(label(model)), *largest))
    tried = "tried under that limit" if all(cell["trial"] for cell in cells) else "predicted"
    batches = sorted({cell["batch"] for cell in cells})
    return Table(
        caption=f"{record.case}: the largest batch of {batches} that fits, {tried}",
        columns=("Device", "Model", *map(label, methods)),
        rows=tuple(rows),
    )


def _largest(cells: Sequence[dict[str, Any]]) -> Cell:
    fitting = [cell["batch"] for cell in cells if _fits(cell)]
    return Cell(str(max(fitting)) if fitting else "none") if cells else Cell(MISSING)


def _fits(cell: dict[str, Any]) -> bool:
    trial = cell["trial"]
    return bool(trial["status"] == "ok" if trial else cell["verdict"] != "does not fit")


SECTION = Section(
    group="fit",
    title="What fits",
    lead=(
        "A step must fit next to the operating system, which also needs a share of a board’s"
        " memory; libraries differ in size between processors. zobench fit --measure runs a step"
        " under an OS-enforced memory limit."
    ),
    tables=(board_tables, trial_tables),
    command="zobench fit --grid --out DIR",
    optional=True,
)
