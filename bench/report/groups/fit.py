"""The tables of what fits: measured peaks against boards' memory, and trials under a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.format import METHODS, MISSING, label, mib, size
from bench.records.record import Record
from bench.records.record_index import Results
from bench.records.step_memory import HOST, step_memory
from bench.report.groups.fit_statement import OUT_OF_MEMORY, memories_held_against, whole_peak
from bench.report.table import Cell, Table


def board_tables(results: Results) -> list[Table]:
    """Hold what each step's process takes against boards' memory, or its accelerator's.

    The first model's table lies open, the others' folded.
    """
    memories = memories_held_against(results)
    if not memories:
        return []
    made = (_boards(results, model, memories) for model in results.models("memory"))
    tables = [table for table in made if table.rows]
    return [replace(table, folded=table is not tables[0]) for table in tables]


def trial_tables(results: Results) -> list[Table]:
    """Tabulate the largest batch that fitted in each device's memory, tried or predicted."""
    return [_trials(record) for record in results.group("fit") if record.details.get("cells")]


def _boards(results: Results, model: str, memories: Mapping[str, int]) -> Table:
    rows = [
        (Cell(f"{label(method)}, {batch}"), *cells)
        for method in METHODS
        for batch in results.batches("memory", model)
        if (cells := _step(results, (model, method, batch), memories)) is not None
    ]
    memory = step_memory(results)
    whose = "a board’s memory" if memory is HOST else "the accelerator’s"
    boards = (board.removeprefix("a ").removesuffix(" board") for board in memories)
    return Table(
        caption=f"{label(model)}. {memory.whole_name}, MiB, and its share of {whose}",
        columns=("Method, batch", "Peak", *boards),
        rows=tuple(rows),
        labels=1,
    )


def _step(
    results: Results, step: tuple[str, str, int], memories: Mapping[str, int]
) -> tuple[Cell, ...] | None:
    """Make the cells of a model's, method's and batch's step; None where it was not measured.

    A step that did not fit here may fit a larger board, so that none is judged by it.
    """
    peak = whole_peak(results, *step)
    if peak is not None:
        return (Cell(mib(peak)), *(_against(peak, memory) for memory in memories.values()))
    model, method, batch = step
    record = results.by_case.get(f"memory/{model}/{method}/b{batch}")
    if record is None or record.status not in OUT_OF_MEMORY:
        return None
    return (Cell(OUT_OF_MEMORY[record.status], "on this machine"), *[Cell(MISSING)] * len(memories))


def _against(peak_bytes: float, memory_bytes: int) -> Cell:
    share = 100 * peak_bytes / memory_bytes
    return Cell("yes" if share < 100 else "no", f"{share:.0f} %")


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
    return bool(trial["status"] == "ok" if trial else cell["predicted_fits"])
