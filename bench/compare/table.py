"""A comparison as a table: for the terminal, and as GitHub's Markdown for a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table

from bench.compare.compare import Comparison, Row
from bench.compare.gate_result import State
from bench.format import MISSING, format_quantity
from bench.records.case_name import CaseName
from bench.records.gates import Gate

COLUMNS = ("", "Case", "Figure", "Old", "New", "Threshold", "Change")
_SHOWN = (State.FAILS, State.BETTER)  # beyond a threshold, the worst first
_COUNTED = {
    State.FAILS: "over it",
    State.BETTER: "better by more than it",
    State.CHANGED: "changed within it",
    State.SAME: "the same",
    State.SKIPPED: "not compared",
}


def shown_rows(found: Comparison, *, everything: bool = False) -> list[Row]:
    """List the figures that changed by more than their threshold, failures first.

    Args:
        found: the comparison.
        everything: list all figures, also those within their threshold or without one.
    """
    if everything:
        return list(found.rows)
    shown = [row for row in found.rows if row.judgement.state in _SHOWN]
    return sorted(shown, key=lambda row: _SHOWN.index(row.judgement.state))


def verdict_line(found: Comparison) -> str:
    """Summarize the comparison in one line."""
    states = Counter(row.judgement.state for row in found.rows if row.gate is not Gate.NONE)
    counts = ", ".join(
        f"{states[state]} {words}" for state, words in _COUNTED.items() if states[state]
    )
    refused = f"; cases refused: {len(found.refused)}" if found.refused else ""
    total = f"{sum(states.values())} figures with a threshold: {counts or 'none'}{refused}"
    if found.passes:
        return f"pass; {total}"
    cases = f", {len(found.broken)} cases fail now" if found.broken else ""
    return f"fail: {len(found.failures)} thresholds exceeded{cases}; {total}"


def terminal_table(found: Comparison, *, everything: bool) -> RenderableType:
    """Make what a rich console prints."""
    table = Table(box=None, pad_edge=False)
    for name in ("", "Figure", "Old → new", "Threshold: change"):
        table.add_column(name, overflow="fold")
    for row in shown_rows(found, everything=everything):
        mark, case, metric, old, new, gate, why = _cells(row)
        table.add_row(mark, f"{case}: {metric}", f"{old} → {new}", f"{gate}: {why}")
    return Group(*([table] if table.row_count else []), *_lines(found))


def markdown_table(found: Comparison, *, everything: bool) -> str:
    """Write GitHub-flavoured Markdown."""
    rows = [_cells(row) for row in shown_rows(found, everything=everything)]
    lines = [f"**{verdict_line(found)}**", ""]
    if rows:
        lines += [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
        lines += [f"| {' | '.join(map(_escaped, cells))} |" for cells in rows]
        lines.append("")
    lines += [f"- {_escaped(line)}" for line in list(_lines(found))[:-1]]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    old, new = (_written(value, row) for value in (row.old, row.new))
    judged = row.judgement
    return (judged.state.value, row.case, row.metric, old, new, row.gate.value, judged.why)


def _written(value: float | None, row: Row) -> str:
    """Write a value; bytes that must be equal are written in full, so that any change shows."""
    if value is None:
        return MISSING
    is_exact = row.unit == "byte" and row.gate is Gate.EXACT
    return f"{value:,.0f} B" if is_exact else format_quantity(value, row.unit)


def _lines(found: Comparison) -> Iterator[str]:
    yield from (f"{case} fails now: {why}" for case, why in found.broken.items())
    yield from (f"{case} is not compared: {why}" for case, why in found.refused.items())
    if found.alone:
        groups = Counter(CaseName.parse(case).group for case in found.alone)
        yield f"only on one side: {', '.join(f'{n} of {group}' for group, n in groups.items())}"
    yield from found.remarks
    yield verdict_line(found)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
