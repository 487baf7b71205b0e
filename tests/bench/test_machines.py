"""Several folders on one page: a row each, and never two versions of a case compared."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import sample_records as sample

from bench.__main__ import main
from bench.records.record_index import Results
from bench.report.machine_name import machine_name
from bench.report.machines import Machine, column_names, figure_tables, index_row
from bench.report.measured_on import heading_remark
from bench.report.plots.machines import machine_charts
from bench.report.provenance import origin_rows
from bench.report.sections import SECTIONS


def machine(name: str, records: list[sample.Record]) -> Machine:
    return Machine(name=name, results=Results.of(records))


def test_the_index_lists_two_machines_with_their_reports_and_ratios(tmp_path: Path) -> None:
    folders = [
        sample.write(tmp_path / name / "default", sample.memory_records(factor=factor))
        for name, factor in (("one", 1.0), ("two", 2.0))
    ]
    out = tmp_path / "out"
    assert main(["report", *map(str, folders), "--out", str(out)]) == 0
    html = (out / "index.html").read_text()
    for words in ("one/default", "two/default", "Sample Processor 1, 4 cores, 8 GiB", "2.00x"):
        assert words in html
    links = re.findall(r'href="([^"]+)"', html)
    assert [(out / link).is_file() for link in links] == [True, True]


def test_an_index_without_shared_figures_says_so(tmp_path: Path) -> None:
    made = {"one": sample.bytes_records(), "two": sample.memory_records()}
    for others, said in (("two", True), ("one", False)):
        pairs = (("a", "one"), ("b", others))
        root = tmp_path / others
        folders = [str(sample.write(root / name / "x", made[of])) for name, of in pairs]
        assert main(["report", *folders, "--out", str(root / "out")]) == 0
        assert ("share no figure" in (root / "out" / "index.html").read_text()) == said


def test_ticks_are_powers_of_two() -> None:
    machines = {
        name: Results.of(sample.memory_records(factor=factor))
        for name, factor in (("one", 1.0), ("two", 3.0))
    }
    (chart,) = machine_charts(machines)
    assert all(re.fullmatch(r"(16|32|64|128|256|512) MiB|1 GiB", t.words) for t in chart.lines)
    assert len(chart.bars) == 4


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
    texts = [text for text, _ in index_row(machine("one", [record])).cells]
    words = dict(origin_rows([record]))["Commit"]
    assert words == "0123456789ab with uncommitted changes"
    assert words in texts


def test_the_page_names_the_zo_kernel() -> None:
    old = sample.record("time/cnn/zo/b1", {})
    new = replace(old, provenance=replace(old.provenance, zo_kernel="numpy"))
    assert dict(origin_rows([old]))["ZO kernel"] == "not recorded"
    assert dict(origin_rows([new]))["ZO kernel"].startswith("NumPy")
    sections = {section.group: section for section in SECTIONS}
    assert heading_remark(Results.of([old]), sections["time"]) == ""
    assert "NumPy" in heading_remark(Results.of([new]), sections["time"])


def test_the_index_sorts_memory_by_bytes() -> None:
    row = index_row(machine("one", sample.bytes_records()))
    assert ("8 GiB", 8 << 30) in row.cells


def test_another_version_of_a_case_is_not_compared() -> None:
    records = sample.bytes_records()
    newer = [replace(record, case_version=2) for record in records]
    assert figure_tables([machine("old", records), machine("new", newer)]) == []
    assert figure_tables([machine("old", records), machine("new", records)]) != []


def test_a_case_of_only_one_machine_is_not_compared() -> None:
    assert figure_tables([machine("a", sample.bytes_records()), machine("b", [])]) == []


@pytest.mark.parametrize(
    ("soc", "name"),
    [
        ("AMD EPYC 7B13 64-Core Processor", "AMD EPYC 7B13, 2 cores, 8 GiB"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", "Intel Xeon, 2 cores, 8 GiB"),
        ("Intel(R) Core(TM) i7-1185G7 @ 3.00GHz", "Intel Core i7-1185G7, 2 cores, 8 GiB"),
        ("Raspberry Pi 5 Model B Rev 1.0", "Raspberry Pi 5 Model B Rev 1.0, 2 cores, 8 GiB"),
        (None, "host, 2 cores, 8 GiB"),
    ],
)
def test_a_machine_is_named_by_its_chip(soc: str | None, name: str) -> None:
    device = {"name": "host", "soc": soc, "logical_cores": 2, "memory_bytes": 8 << 30}
    assert machine_name(device) == name


def test_a_gpu_is_named_first_where_the_steps_ran_on_it() -> None:
    gpu = {"name": "NVIDIA H100", "memory_bytes": 80 << 30}
    device = {"soc": "Chip", "logical_cores": 1, "memory_bytes": None, "accelerator": gpu}
    assert machine_name(device) == "Chip, 1 core"
    assert machine_name(device, on_accelerator=True) == "NVIDIA H100, 80 GiB (Chip, 1 core)"
