"""What fits: measured peaks against the memory of boards or of the accelerator, and trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from bench.boards import Memory
from bench.format import MISSING, format_bytes, format_mib, format_percent, format_seconds
from bench.labels import METHODS, SAME_STEP_METHODS, label, method_label
from bench.paper import BATCH
from bench.records.details.machine import FitCell, FitDetails
from bench.records.record_index import Results
from bench.records.step_memory import step_memory
from bench.report.costs import ROUND, whole_figure
from bench.report.memories import TONES, memories_of
from bench.report.section import Section
from bench.report.table import Cell, Table

_Column = TypeVar("_Column", str, Cell)
# Why a step has no peak, where memory is the reason or may be: its record's status -> words.
_OUT_OF_MEMORY = {"does not fit": "does not fit", "killed": "was killed"}


def board_tables(results: Results) -> list[Table]:
    """Tabulate each step's peak against the memory of boards, or of the accelerator.

    The first model's table is open, the others are folded.
    """
    memories = memories_of(results)
    if not memories:
        return []
    made = (_board_table(results, model, memories) for model in results.models("memory"))
    tables = [table for table in made if table.rows]
    return [replace(table, folded=table is not tables[0]) for table in tables]


def _board_table(results: Results, model: str, memories: Sequence[Memory]) -> Table:
    rows = [
        (Cell(f"{method_label(method)}, {batch}"), *cells)
        for method in (*METHODS, *SAME_STEP_METHODS)
        for batch in results.batches("memory", model)
        if (cells := _step(results, model, method, batch, memories))
    ]
    memory = step_memory(results)
    return Table(
        caption=f"{label(model)}. {memory.whole_name}, MiB, and its share of {_whose(memories)}",
        columns=(
            *("Method, batch", "Peak", *_with_reserve(memories, "Smallest memory")),
            *("Time per round", *(memory.name for memory in memories)),
        ),
        rows=tuple(rows),
        labels=1,
    )


def _with_reserve(memories: Sequence[Memory], column: _Column) -> tuple[_Column, ...]:
    """Keep a column that differs from the peak only where a system needs memory too."""
    return (column,) if memories[0].reserve_bytes else ()


def _whose(memories: Sequence[Memory]) -> str:
    reserve = memories[0].reserve_bytes
    if not reserve:
        return "the accelerator’s"
    return f"a board’s memory, of which {format_bytes(reserve)} are left to the operating system"


def _step(
    results: Results, model: str, method: str, batch: int, memories: Sequence[Memory]
) -> tuple[Cell, ...]:
    """Make the cells of a step; none where it was not measured.

    A step that did not fit here may fit a larger board, so no board is judged by it.
    """
    whole = whole_figure(results)
    peak = whole.value(results, model, method, batch)
    if peak is not None:
        return (
            Cell(format_mib(peak)),
            *_with_reserve(memories, Cell(format_mib(peak + memories[0].reserve_bytes))),
            Cell(_round_time(results, model, method, batch)),
            *(_share(peak, memory) for memory in memories),
        )
    record = results.record(whole.case(model, method, batch))
    if record is None or record.status not in _OUT_OF_MEMORY:
        return ()
    return (
        Cell(_OUT_OF_MEMORY[record.status], "on this machine"),
        *_with_reserve(memories, Cell(MISSING)),
        *[Cell(MISSING)] * (1 + len(memories)),
    )


def _round_time(results: Results, model: str, method: str, batch: int) -> str:
    """Write the time of a round, of the paper's batch only."""
    seconds = ROUND.value(results, model, method, batch) if batch == BATCH else None
    return MISSING if seconds is None else format_seconds(seconds)


def _share(peak_bytes: float, memory: Memory) -> Cell:
    share = peak_bytes / (memory.memory_bytes - memory.reserve_bytes)
    written = f"{100 * share:.0f} %" if share >= 0.01 else format_percent(share)
    verdict = memory.verdict(peak_bytes)
    return Cell(verdict.value, written, tone=TONES[verdict])


def trial_tables(results: Results) -> list[Table]:
    """Tabulate the largest batch that fitted in each device's memory, tried or predicted."""
    found = [(record.case, record.details_as(FitDetails)) for record in results.group("fit")]
    return [_trials(case, fit.cells) for case, fit in found if fit and fit.cells]


def _trials(case: str, cells: Sequence[FitCell]) -> Table:
    methods = list(dict.fromkeys(cell.method for cell in cells))
    devices = dict.fromkeys((cell.device, cell.limit_bytes, cell.model) for cell in cells)
    rows = []
    for device, limit, model in devices:
        mine = [cell for cell in cells if (cell.device, cell.model) == (device, model)]
        largest = (_largest([c for c in mine if c.method == method]) for method in methods)
        rows.append((Cell(device, format_bytes(limit)), Cell(label(model)), *largest))
    tried = "tried under that limit" if all(cell.trial for cell in cells) else "predicted"
    batches = sorted({cell.batch for cell in cells})
    return Table(
        caption=f"{case}: the largest batch of {batches} that fits, {tried}",
        columns=("Device", "Model", *map(label, methods)),
        rows=tuple(rows),
    )


def _largest(cells: Sequence[FitCell]) -> Cell:
    fitting = [cell.batch for cell in cells if _fits(cell)]
    return Cell(str(max(fitting)) if fitting else "none") if cells else Cell(MISSING)


def _fits(cell: FitCell) -> bool:
    return cell.trial.status == "ok" if cell.trial else cell.verdict != "does not fit"


SECTION = Section(
    group="fit",
    title="What fits",
    lead=(
        "A step fits if the peak of its process is at most the memory; on a board, 150 MiB of it"
        " are left to the operating system. Tight means less than 10 % to spare. The smallest"
        " memory is the peak plus these 150 MiB. Libraries differ in size between processors."
        " zobench fit predicts the same peak; with --measure it runs each step under an OS-enforced"
        " memory limit."
    ),
    tables=(board_tables, trial_tables),
    command="zobench fit --grid --out DIR",
    optional=True,
)
