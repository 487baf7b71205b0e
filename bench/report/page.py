"""The report: one self-contained HTML page with its plots, made from the records of a folder."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.format import instant
from bench.records.details.formulas import Table1Details
from bench.records.details.machine import LimitDetails
from bench.records.details.tables import TableDetails
from bench.records.record import Record
from bench.records.record_index import Results
from bench.records.store import read_records, replacing
from bench.report.headline import headline
from bench.report.measured_on import heading_remark, page_device
from bench.report.plots.by_group import plots_of
from bench.report.plots.style import Plot, save
from bench.report.provenance import RecordLink, device_rows, method_table, origin_rows, record_links
from bench.report.reproduce import command_lines
from bench.report.section import Section
from bench.report.sections import SECTIONS
from bench.report.table import Table

_WITH_NOTES = (TableDetails, Table1Details, LimitDetails)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPlot:
    """A plot as the page holds it."""

    source: str  # data URI of the SVG
    png: str  # path of the PNG, relative to the page
    caption: str
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One section as the page holds it."""

    section: Section
    remark: str  # what it was measured on, where the title names something else
    sentences: Sequence[str]
    tables: Sequence[Table]
    plots: Sequence[EmbeddedPlot]
    notes: Sequence[str]
    missing: Sequence[str]  # what was not measured, and why

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.tables or self.plots or self.notes or self.missing)


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write the report of a folder's records: report.html, and the plots under plots/.

    Args:
        folder: an output folder of the suite.
        out: where the report goes; by default next to the records.

    Returns:
        The HTML file.

    Raises:
        StoreError: there are no records, or one is malformed.
        OSError: the folder cannot be written to.
        ModuleNotFoundError: an optional dependency is missing; the message names the extra.
    """
    require_extra()
    records, out = read_records(folder), out or folder
    plots = out / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    results = Results.of(records)
    parts = [_part(results, section, plots) for section in SECTIONS]
    absent = [p.section for p in parts if p.is_empty and not p.section.optional]
    path = out / "report.html"
    with replacing(path) as temporary:
        links = record_links(records, Path(os.path.relpath(folder, out)))
        page = render(records, links, [part for part in parts if not part.is_empty], absent)
        temporary.write_text(page, encoding="utf-8")
    return path


def render(
    records: Sequence[Record],
    links: Sequence[RecordLink],
    parts: Sequence[Part],
    absent: Sequence[Section],
) -> str:
    """Fill the page's template: with sections, and with the names of those without records."""
    newest = max(records, key=lambda record: record.provenance.created).provenance
    return fill(
        "report.html.jinja",
        newest=newest,
        device_name=page_device(Results.of(records)) or newest.device["name"],
        created=instant(newest.created),
        dirty=any(record.provenance.dirty for record in records),
        answer=headline(Results.of(records)) or [p.sentences[0] for p in parts if p.sentences],
        device=device_rows(newest.device),
        parts=parts,
        absent=absent,
        commands=command_lines(records, [part.section for part in parts]),
        methods=method_table(records),
        definitions={w: how for part in parts for w, how in part.section.definitions.items()},
        origin=origin_rows(records),
        links=links,
    )


def fill(template: str, **values: Any) -> str:
    """Fill one of the package's templates."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def _part(results: Results, section: Section, plots: Path) -> Part:
    records = results.group(section.group)
    return Part(
        section=section,
        remark=heading_remark(results, section),
        sentences=[line for make in section.sentences for line in make(results)],
        tables=[table for make in section.tables for table in make(results)],
        plots=[embedded(plot, plots) for plot in plots_of(results, section.group)],
        notes=[note for record in records for note in _notes(record)],
        missing=results.missing(section.group),
    )


def _notes(record: Record) -> Sequence[str]:
    details = next(filter(None, map(record.details_as, _WITH_NOTES)), None)
    return details.notes if details else ()


def embedded(plot: Plot, folder: Path) -> EmbeddedPlot:
    """Save a plot and take its SVG into the page, as an image so that its ids stay its own."""
    paths = save(plot, folder)
    svg = base64.b64encode(paths["svg"].read_bytes()).decode()
    return EmbeddedPlot(
        source=f"data:image/svg+xml;base64,{svg}",
        png=f"{folder.name}/{paths['png'].name}",
        caption=plot.caption,
        alt=plot.alt,
    )


def require_extra() -> None:
    """Raise ModuleNotFoundError, naming the extra, where a library of the pages is missing."""
    missing = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f'the report needs {" and ".join(missing)}: pip install "zobench[bench]"'
        )
