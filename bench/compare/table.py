"""A comparison as a table: for the terminal, and as GitHub's Markdown for a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table

from bench.compare.compare import Comparison, Row
from bench.compare.gate_result import State
from bench.format import MISSING, quantity
from bench.records.case_name import CaseName

COLUMNS = ("", "Case", "Figure", "Old", "New", "Gate", "Why")
_SHOWN = (State.FAILS, State.BETTER, State.MOVED)  # what moved, the worst first


def moved_rows(found: Comparison, *, everything: bool = False) -> list[Row]:
    """List what moved, failures first.

    Args:
        found: the comparison.
        everything: figures that have no gate and such as did not move as well.
    """
    if everything:
        return list(found.rows)
    held = (row for row in found.rows if row.gate.value != "none")
    shown = [row for row in held if row.judgement.state in _SHOWN]
    return sorted(shown, key=lambda row: _SHOWN.index(row.judgement.state))


def verdict_line(found: Comparison) -> str:
    """Say in one line how it ended."""
    states = Counter(row.judgement.state for row in found.rows if row.gate.value != "none")
    counts = ", ".join(f"{states[state]} {state.value}" for state in State if states[state])
    failed = len(found.failures) + len(found.broken)
    verdict = f"{failed} gates fail" if failed else "every gate holds"
    refused = f"; cases refused: {len(found.refused)}" if found.refused else ""
    return f"{verdict}: of {sum(states.values())} gated figures, {counts or 'none'}{refused}"


def terminal_table(found: Comparison, *, everything: bool) -> RenderableType:
    """Make what a rich console prints."""
    table = Table(box=None, pad_edge=False)
    for name in ("", "Figure", "Old → new", "Gate"):
        table.add_column(name, overflow="fold")
    for row in moved_rows(found, everything=everything):
        mark, case, metric, old, new, gate, why = _cells(row)
        table.add_row(mark, f"{case}: {metric}", f"{old} → {new}", f"{gate}: {why}")
    return Group(*([table] if table.row_count else []), *_lines(found))


def markdown_table(found: Comparison, *, everything: bool) -> str:
    """Write GitHub-flavoured Markdown."""
    rows = [_cells(row) for row in moved_rows(found, everything=everything)]
    lines = [f"**{verdict_line(found)}**", ""]
    if rows:
        lines += [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
        lines += [f"| {' | '.join(map(_escaped, cells))} |" for cells in rows]
        lines.append("")
    lines += [f"- {_escaped(line)}" for line in list(_lines(found))[:-1]]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    old, new = (_exactly(value, row.unit) for value in (row.old, row.new))
    judged = row.judgement
    return (judged.state.value, row.case, row.metric, old, new, row.gate.value, judged.why)


def _exactly(value: float | None, unit: str) -> str:
    """Write bytes to the last one: a message that grew by four must not look the same."""
    if value is None:
        return MISSING
    return f"{value:,.0f} B" if unit == "byte" else quantity(value, unit)


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
