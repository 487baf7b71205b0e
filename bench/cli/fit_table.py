"""The table of ``zobench fit``, which leaves columns out on a narrow console."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from bench.boards import Verdict
from bench.fit.cells import Agreement, Cell, agreement
from bench.format import MIB, MISSING
from bench.labels import method_label
from bench.workloads.steps import RETURN_BLOCKS, STEP_METHODS

_WIDE = 110  # characters that all columns take, trials included
_FORMULA, _CGROUP = "eq. 4, 5", "cgroup"
_METHOD_WIDTH = max(len(method_label(method)) for method in STEP_METHODS)
_VERDICT_WIDTH = max(len(verdict.value) for verdict in Verdict)


def show(console: Console, cells: Sequence[Cell], *, everything: bool) -> None:
    """Print a table per device and model, and what its columns are.

    Args:
        console: where to print.
        cells: at least one.
        everything: print all columns, however narrow the console is.
    """
    text_width = console.width
    if everything:
        console.width = max(text_width, _WIDE)
    is_whole = console.width >= _WIDE
    is_tried = any(cell.trial for cell in cells)
    for device, model in dict.fromkeys((cell.device, cell.model) for cell in cells):
        chosen = [cell for cell in cells if (cell.device, cell.model) == (device, model)]
        console.print(_table(chosen, is_tried=is_tried, is_whole=is_whole))
    console.print(_legend(is_whole), width=text_width)
    if is_tried:
        console.print(_agreement_words(agreement(cells)), width=text_width)


def _legend(is_whole: bool) -> str:
    settings = " ".join(f"{name}={value}" for name, value in RETURN_BLOCKS.items())
    rest = (
        [
            "Cgroup: that process as a control group counts it here, without library pages that"
            " others read first.",
            "Eq. 4, 5: the paper's formulas for a step's memory without the runtime, eq. 4 for"
            " backprop and eq. 5 for the others.",
        ]
        if is_whole
        else [f"Not shown: the columns {_FORMULA} and {_CGROUP}; add --verbose."]
    )
    return "\n".join(
        [
            "Resident: the predicted high-water mark of the process, runtime + tensors, which the"
            " verdict compares with the limit. Tight: less than 10 % to spare.",
            *rest,
            f"Processes run with {settings}; set it on the device too.",
        ]
    )


def _table(cells: Sequence[Cell], *, is_tried: bool, is_whole: bool) -> Table:
    table = Table(title=_title(cells[0]), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    rows = [_figures(cell, is_whole) for cell in cells]
    table.add_column("method", no_wrap=True, min_width=_METHOD_WIDTH)
    for name in rows[0]:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True, min_width=_VERDICT_WIDTH)
    if is_tried:
        table.add_column("measured: resident, cgroup")
    for cell, figures in zip(cells, rows, strict=True):
        trial = [trial_words(cell)] if is_tried else []
        table.add_row(method_label(cell.method), *figures.values(), cell.verdict.value, *trial)
    return table


def _title(cell: Cell) -> str:
    limit = f"{cell.limit_bytes / MIB:.0f} MiB"
    if cell.reserve_bytes:
        whole = f"{(cell.limit_bytes + cell.reserve_bytes) / MIB:.0f}"
        limit = f"{limit} ({whole} less {cell.reserve_bytes / MIB:.0f} reserved)"
    else:
        limit = f"{limit}, nothing reserved (--reserve 150MiB for a board)"
    return f"{cell.model} on {cell.device}, limit {limit}; all figures in MiB"


def _figures(cell: Cell, is_whole: bool) -> dict[str, str]:
    """Write the figures of a row by the names of their columns."""
    sizes = {
        **{"runtime": cell.runtime_bytes, "tensors": cell.tensors_bytes},
        **({_FORMULA: cell.formula_bytes} if is_whole else {}),
        "resident": cell.predicted_bytes,
        **({_CGROUP: cell.counted_bytes} if is_whole else {}),
    }
    figures = {n: MISSING if size is None else f"{size / MIB:.0f}" for n, size in sizes.items()}
    return {"batch": str(cell.batch), **figures}


def trial_words(cell: Cell) -> str:
    """Say how a step under the limit ended."""
    trial = cell.trial
    if trial is None:
        return "not measured"
    if trial.fits:
        peaks = (trial.resident_bytes, trial.peak_bytes)
        found = (MISSING if peak is None else f"{peak / MIB:.0f}" for peak in peaks)
        return f"fits: {', '.join(found)}"
    if trial.fits is False:
        return f"does not fit: {trial.phase}"
    return f"{trial.status}: {trial.error}"


def _agreement_words(found: Agreement) -> str:
    if not found.cells:
        return 'no trial had a result; see the column "measured"'
    lines = [f"prediction and trial agree in {found.agreeing} of {found.cells} cells"]
    if found.share is not None:
        lines[0] += f" ({100 * found.share:.1f} %)"
    if found.near_share is not None:
        lines.append(
            f"within 30 % of the limit: {found.near_agreeing} of {found.near_cells} "
            f"({100 * found.near_share:.1f} %)"
        )
    if found.errors:
        low, high = (f"{100 * error:+.1f} %" for error in (found.errors[0], found.errors[-1]))
        lines.append(f"resident memory, predicted against measured: {low} to {high}")
    lines += [
        f"  disagrees: {c.device}, {c.model}, {c.method}, batch {c.batch}: predicted "
        f"{c.predicted_bytes / MIB:.0f} of {c.limit_bytes / MIB:.0f} MiB; {trial_words(c)}"
        for c in found.disagreeing
    ]
    return "\n".join(lines)
