"""The report: one self-contained HTML page with its plots, made from the records of a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.format import format_instant
from bench.records.details.formulas import Table1Details
from bench.records.details.machine import LimitDetails
from bench.records.details.tables import TableDetails
from bench.records.record import Record
from bench.records.record_index import Results
from bench.records.store import read_records, replacing
from bench.report import csv_file
from bench.report.bars import BarChart
from bench.report.claim_table import claim_tables
from bench.report.machine_name import name_of_records
from bench.report.measured_on import heading_remark
from bench.report.plots.by_group import charts_of, plots_of
from bench.report.plots.inline import dark_rules, inline_svg
from bench.report.plots.style import Plot, save
from bench.report.provenance import RecordLink, device_rows, method_table, origin_rows, record_links
from bench.report.reproduce import absent_lines, command_lines
from bench.report.section import Section
from bench.report.sections import SECTIONS
from bench.report.table import Table
from bench.report.tiles import answer_tiles

_RESULTS = ("ok", "does not fit")  # a case with any other status failed

_WITH_NOTES = (TableDetails, Table1Details, LimitDetails)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPlot:
    """A plot as the page holds it."""

    svg: Any  # markup
    path: str  # of the same drawing as a file, relative to the page
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One section as the page holds it."""

    section: Section
    remark: str  # what it was measured on, where the title names something else
    sentences: Sequence[str]
    tables: Sequence[Table]
    charts: Sequence[BarChart]
    plots: Sequence[EmbeddedPlot]
    notes: Sequence[str]
    failed: Sequence[str]  # cases that broke, and why
    unmeasured: Sequence[str]  # figures that do not exist here, and why

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.tables or self.plots or self.notes or self.failed or self.unmeasured)

    @property
    def definitions(self) -> Mapping[str, str]:
        """The section's definitions of what is shown."""
        of_tables = {
            words: how
            for words, how in self.section.table_definitions.items()
            if any(table.caption.startswith(words) for table in self.tables)
        }
        return {**self.section.definitions, **of_tables}


def write_report(folder: Path, out: Path | None = None, name: str | None = None) -> Path:
    """Write the report of a folder's records: report.html, records.csv, and the plots under plots/.

    Args:
        folder: an output folder of the suite.
        out: where the report goes; by default next to the records.
        name: of the machine, for the title; by default its chip, cores and memory.

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
    links = record_links(records, Path(os.path.relpath(folder, out)))
    page = render(records, links, parts, name or name_of_records(records))
    write_text(out / csv_file.NAME, csv_file.csv_text(records))
    return write_text(out / "report.html", page)


def write_text(path: Path, text: str) -> Path:
    """Write a file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def render(
    records: Sequence[Record], links: Sequence[RecordLink], parts: Sequence[Part], machine: str
) -> str:
    """Fill the page's template: sections with records, and the names of the others."""
    newest = max(records, key=lambda record: record.provenance.created).provenance
    results, shown = Results.of(records), [part for part in parts if not part.is_empty]
    absent = [p.section for p in parts if p.is_empty and not p.section.optional]
    return fill(
        "report.html.jinja",
        newest=newest,
        machine=machine,
        created=format_instant(newest.created),
        dirty=any(record.provenance.dirty for record in records),
        tiles=answer_tiles(results),
        claims=claim_tables(results),
        device=device_rows(newest.device),
        parts=shown,
        absent=[section.group for section in absent],
        absent_commands=absent_lines(records, absent),
        commands=command_lines(records, [part.section for part in shown]),
        methods=method_table(records),
        definitions={w: how for part in shown for w, how in part.definitions.items()},
        origin=origin_rows(records),
        csv=csv_file.NAME,
        links=links,
    )


def fill(template: str, **values: Any) -> str:
    """Fill one of the package's templates."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["plot_colors"] = lambda: Markup(dark_rules())
    return environment.get_template(template).render(**values)


def _part(results: Results, section: Section, plots: Path) -> Part:
    records = results.group(section.group)
    failed = Results.of(r for r in records if r.status not in _RESULTS)
    others = Results.of(r for r in records if r.status in _RESULTS)
    return Part(
        section=section,
        remark=heading_remark(results, section),
        sentences=[line for make in section.sentences for line in make(results)],
        tables=[table for make in section.tables for table in make(results)],
        charts=charts_of(results, section.group),
        plots=[embedded(plot, plots) for plot in plots_of(results, section.group)],
        notes=[note for record in records for note in _notes(record)],
        failed=failed.missing(section.group),
        unmeasured=others.missing(section.group),
    )


def _notes(record: Record) -> Sequence[str]:
    details = next(filter(None, map(record.details_as, _WITH_NOTES)), None)
    return details.notes if details else ()


def embedded(plot: Plot, folder: Path) -> EmbeddedPlot:
    """Save a plot and take it into the page."""
    from markupsafe import Markup

    path = save(plot, folder)["svg"]
    return EmbeddedPlot(
        svg=Markup(inline_svg(path.read_text(encoding="utf-8"), plot.name, plot.alt)),
        path=f"{folder.name}/{path.name}",
        caption=plot.caption,
    )


def require_extra() -> None:
    """Raise ModuleNotFoundError, naming the extra, where a library of the pages is missing."""
    missing = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f'the report needs {" and ".join(missing)}: pip install "zobench[bench]"'
        )
