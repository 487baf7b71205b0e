"""The tables of what fits: measured peaks against boards' memory, and trials under a limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.headline import BOARDS, whole_peak
from bench.record import Record
from bench.results import Results
from bench.tables import Cell, Table
from bench.text import METHODS, MISSING, label, mib, size


def board_tables(results: Results) -> list[Table]:
    """Hold the measured peak of the whole process against the memory of boards."""
    tables = (_boards(results, model) for model in results.models("memory"))
    return [table for table in tables if table.rows]


def trial_tables(results: Results) -> list[Table]:
    """Tabulate the largest batch that fitted in each device's memory, tried or predicted."""
    return [_trials(record) for record in results.group("fit") if record.details.get("cells")]


def _boards(results: Results, model: str) -> Table:
    rows = [
        (
            Cell(f"{label(method)}, {batch}"),
            Cell(mib(peak)),
            *(_against(peak, memory) for memory in BOARDS.values()),
        )
        for method in METHODS
        for batch in results.batches("memory", model)
        if (peak := whole_peak(results, model, method, batch)) is not None
    ]
    boards = (board.removeprefix("a ").removesuffix(" board") for board in BOARDS)
    return Table(
        caption=(
            f"{label(model)}: peak of the whole process, MiB, and its share of a board’s memory"
        ),
        columns=("Method, batch", "Peak", *boards),
        rows=tuple(rows),
        labels=1,
    )


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
