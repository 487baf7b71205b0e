"""One entry a group: the suite's are always on the page, an optional one with records alone."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest
import sample_records as sample

from bench.groups import GROUPS
from bench.records import store
from bench.records.record import Metric
from bench.records.record_index import Results
from bench.records.validate import Checked
from bench.report import groups
from bench.report import page as report
from bench.report.plots.by_group import PLOTS
from bench.report.section import Section
from bench.report.sections import SECTIONS
from bench.report.table import Cell, Table


def radio_tables(results: Results) -> list[Table]:
    rows = tuple((Cell(record.case), Cell("12")) for record in results.group("radio"))
    return [Table(caption="Radio", columns=("Case", "Watt"), rows=rows, labels=1)] if rows else []


RADIO = Section(
    group="radio",
    title="What the radio takes",
    lead="Measured at the antenna.",
    tables=(radio_tables,),
    definitions={"Power": "At the antenna."},
    command="radiometer --all",
    optional=True,
)


def page(folder: Path, records: list[sample.Record]) -> str:
    return report.write_report(sample.write(folder, records)).read_text(encoding="utf-8")


def test_each_group_of_the_suite_has_one_section() -> None:
    names = [section.group for section in SECTIONS]
    assert len(set(names)) == len(names)
    assert set(GROUPS) <= set(names)


def test_each_file_of_the_folder_defines_the_group_that_it_is_named_after() -> None:
    names = [module.name for module in pkgutil.iter_modules(groups.__path__)]
    assert sorted(section.group for section in SECTIONS) == sorted(names)
    assert PLOTS.keys() <= set(names)
    for name in names:
        section = importlib.import_module(f"bench.report.groups.{name}").SECTION
        assert section.group == name
        assert section in SECTIONS


def valid(path: Path) -> Checked:
    return Checked(path=path, problems=(), remarks=())


def test_a_group_is_added_by_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "SECTIONS", (*SECTIONS, RADIO))
    monkeypatch.setattr(store, "check_file", valid)  # the schema lists the groups that there are
    made = sample.record("radio/antenna", {}, {"power": Metric.single(12, "watt", "sample")})
    html = page(tmp_path, [made])
    for words in (RADIO.title, RADIO.lead, "radio/antenna", "At the antenna.", "radiometer --all"):
        assert words in html


def test_an_optional_group_without_records_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "SECTIONS", (*SECTIONS, RADIO))
    html = page(tmp_path, sample.bytes_records())
    assert RADIO.title not in html
    assert RADIO.definitions["Power"] not in html
