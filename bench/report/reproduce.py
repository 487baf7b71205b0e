"""The command lines that make the records of a page."""

from __future__ import annotations

from collections.abc import Sequence

from bench.groups import GROUPS, SCALE_NAMES
from bench.records.record import Record
from bench.report.section import Section

_STUDY = "zobench train --task instruct --out DIR"  # its record belongs to a group of the suite


def command_lines(records: Sequence[Record], sections: Sequence[Section]) -> list[tuple[str, str]]:
    """List the commands and what each is for: the whole suite first, if it made any record.

    Args:
        records: of the page.
        sections: in the page's order; a section without records has no line.
    """
    lines = []
    suite = [r for r in records if r.group in GROUPS and r.provenance.scale in SCALE_NAMES]
    if suite:
        newest = max(suite, key=lambda record: record.provenance.created).provenance
        lines.append((f"pytest --benchmark --scale {newest.scale}", "the whole suite, this report"))
    for section in sections:
        scales = {r.provenance.scale: None for r in records if r.group == section.group}
        commands = dict.fromkeys(_command(section, scale) for scale in scales)
        lines += [(command, section.title) for command in commands]
    return [*lines, ("zobench report DIR", "this page, from the records in DIR")]


def _command(section: Section, scale: str) -> str:
    if scale == "study":
        return _STUDY
    of_suite = section.made_by.startswith("zobench run") and scale in SCALE_NAMES
    return f"{section.made_by} --scale {scale}" if of_suite else section.made_by
