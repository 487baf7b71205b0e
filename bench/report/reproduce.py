"""The command lines that make the records of a page, and those that it does not have."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from bench.groups import GROUPS, SCALE_NAMES, USED_BY
from bench.records.record import Record
from bench.report.section import Section

_STUDY = "zobench train --task instruct --out DIR"  # its record belongs to a group of the suite
_AT_EVERY_SCALE = frozenset(GROUPS) - {"edge"}  # smoke scale has no case of that
_OF_THE_MODEL = ("memory", "bytes", "time", "edge")  # groups that measure --model


def command_lines(records: Sequence[Record], sections: Sequence[Section]) -> list[tuple[str, str]]:
    """List the commands and what each is for: the whole suite first, if all of it ran.

    Args:
        records: of the page.
        sections: in the page's order; a section without records has no line.
    """
    lines = [
        (
            f"pytest --benchmark --scale {scale}{_device_options(records)}",
            "the whole suite, this report",
        )
        for scale in _whole_suites(records)
    ]
    for section in sections:
        own = [record for record in records if record.group == section.group]
        where = _device_options(own)
        commands = dict.fromkeys(_command(section, record, where) for record in own)
        lines += [(command, section.title) for command in commands]
    return [*lines, ("zobench report DIR", "this page, from the records in DIR")]


def absent_lines(records: Sequence[Record], absent: Sequence[Section]) -> list[tuple[str, str]]:
    """List the titles of sections without records, each with the command that makes them.

    Args:
        records: of the page; the commands have their scale, and their model if all share one.
        absent: the sections.
    """
    found = {_model_options(r) for r in records if r.group in _OF_THE_MODEL}
    options = found.pop() if len(found) == 1 else ""
    scales = {r.provenance.scale for r in records if r.provenance.scale in SCALE_NAMES}
    scale = f" --scale {scales.pop()}" if len(scales) == 1 else ""
    return [(section.title, _absent_command(section, scale, options)) for section in absent]


def _absent_command(section: Section, scale: str, options: str) -> str:
    if not section.made_by.startswith("zobench run"):
        return section.made_by
    return section.made_by + scale + (options if section.group in _OF_THE_MODEL else "")


def _whole_suites(records: Sequence[Record]) -> list[str]:
    """List the scales of which every group ran with the scale's own models."""
    groups: dict[str, set[str]] = {}
    for record in records:
        if record.provenance.division == "closed":
            groups.setdefault(record.provenance.scale, set()).add(record.group)
    return [scale for scale in SCALE_NAMES if groups.get(scale, set()) >= _AT_EVERY_SCALE]


def _command(section: Section, record: Record, where: str) -> str:
    scale = record.provenance.scale
    if scale == "study":
        return _STUDY
    of_suite = section.made_by.startswith("zobench run") and scale in SCALE_NAMES
    if not of_suite:
        return section.made_by
    return f"{section.made_by} --scale {scale}{_model_options(record)}{where}"


def _device_options(records: Sequence[Record]) -> str:
    """Write the options for what the steps and trainings of some records were computed on."""
    configs = [r.config for r in records if r.group in USED_BY["device"]]
    precisions = {str(config.get("precision", "fp32")) for config in configs} - {"fp32"}
    on_cuda = " --device cuda" if any(c.get("device") == "cuda" for c in configs) else ""
    return on_cuda + (f" --precision {precisions.pop()}" if len(precisions) == 1 else "")


def _model_options(record: Record) -> str:
    """Write the options that name the user's model; none where the scale's was measured."""
    source = record.config.get("source")
    closed = record.provenance.division == "closed"
    if closed or source is None or record.group not in _OF_THE_MODEL:
        return ""
    model, _, shape = str(source).partition("@")
    options = f" --model {shlex.quote(model)}"
    return f"{options} --input-shape {shape.replace('x', ',')}" if shape else options
