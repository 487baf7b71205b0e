"""An audit as a table in the terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from bench.audit.finding import Report

_STYLES = {"pass": "green", "fail": "bold red", "not applicable": "dim"}


def report_table(report: Report) -> Table:
    """Return one row per check: the rule and why it matters, the outcome, the figure."""
    title = f"{report.target}: {report.parameters:,} trainable weights, rate {report.lr:g}"
    table = Table("", "check", "outcome", "found", title=title, title_justify="left")
    for finding in report.findings:
        table.add_row(
            finding.letter,
            Text.assemble(finding.check, "\n", (finding.why, "dim")),
            Text(finding.outcome, style=_STYLES[finding.outcome]),
            finding.figure,
        )
    return table
