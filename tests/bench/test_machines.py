"""Several folders on one page: a column each, and never two versions of a case side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sample_records as sample

from bench.__main__ import main
from bench.records.record_index import Results
from bench.report.machines import Machine, column_names, figure_tables, profile_table
from bench.report.provenance import origin_rows


def machine(name: str, records: list[sample.Record]) -> Machine:
    return Machine(name=name, results=Results.of(records))


def test_two_machines_stand_side_by_side(tmp_path: Path) -> None:
    folders = [
        sample.write(tmp_path / name / "default", sample.memory_records(factor=factor))
        for name, factor in (("one", 1.0), ("two", 2.0))
    ]
    assert main(["report", *map(str, folders), "--out", str(tmp_path / "out")]) == 0
    html = (tmp_path / "out" / "machines.html").read_text()
    for words in ("one/default", "two/default", "Sample Processor 1", "60.1 MiB", "120 MiB"):
        assert words in html
    assert (tmp_path / "out" / "plots" / "machines-memory.png").is_file()


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["/r/one/default", "/r/two/default"], ["one/default", "two/default"]),
        (["/a/epyc/default", "/b/epyc/default"], ["a/epyc/default", "b/epyc/default"]),
        (["/epyc/default", "/b/epyc/default"], ["/epyc/default", "b/epyc/default"]),
        (["/a/c/d", "/b/c/d", "/b/c/e"], ["a/c/d", "b/c/d", "c/e"]),
        (["/a/c/d", "/b/../a/c/d"], ["c/d"]),
        (["/a", "/b"], ["/a", "/b"]),
    ],
)
def test_a_column_is_named_by_as_much_of_its_path_as_tells_it_apart(
    folders: list[str], names: list[str]
) -> None:
    assert list(column_names([Path(folder) for folder in folders])) == names


def test_a_commit_has_the_same_words_on_both_pages() -> None:
    record = sample.record("bytes/cnn/zo", {}, dirty=True)
    profiles = profile_table([machine("one", [record])])
    (told,) = (cells[1].text for cells in profiles.rows if cells[0].text == "Commit")
    assert told == dict(origin_rows([record]))["Commit"] == "0123456789ab with uncommitted changes"


def test_another_version_of_a_case_is_not_set_beside() -> None:
    records = sample.bytes_records()
    newer = [replace(record, case_version=2) for record in records]
    table = figure_tables([machine("old", records), machine("new", newer)])[0]
    assert {row[1].text for row in table.rows} == {"–"}
    assert {row[1].detail for row in table.rows} == {"version 1"}


def test_a_case_of_one_machine_alone_is_not_run_on_the_other() -> None:
    table = figure_tables([machine("a", sample.bytes_records()), machine("b", [])])[0]
    assert {row[2].detail for row in table.rows} == {"not run"}
