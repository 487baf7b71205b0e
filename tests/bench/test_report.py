"""The report: one file that stands alone, says what is missing, and marks what to distrust."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import sample_records as sample
from rich.console import Console

from bench.records.record import Metric
from bench.records.record_index import Results
from bench.records.store import StoreError
from bench.report.page import write_report
from bench.report.terminal import summary_table


class Page(HTMLParser):
    """What a page links to and loads, and its text by section."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.tags: set[str] = set()
        self.text: dict[str, str] = {}
        self._section = ""
        self.html = path.read_text(encoding="utf-8")
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.add(tag)
        self.links += [values["href"] or ""] if "href" in values else []
        self.sources += [values["src"] or ""] if "src" in values else []
        if tag == "section":
            self._section = values["id"] or ""

    def handle_data(self, data: str) -> None:
        self.text[self._section] = self.text.get(self._section, "") + data


def page_of(folder: Path, records: Iterable[sample.Record]) -> Page:
    return Page(write_report(sample.write(folder, records)))


def printed(records: list[sample.Record], width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(summary_table(records))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def whole(sample_page: Path) -> tuple[Path, Page]:
    return sample_page.parent, Page(sample_page)


def test_the_page_loads_nothing_from_elsewhere(whole: tuple[Path, Page]) -> None:
    _, page = whole
    assert page.sources == []
    assert not page.tags & {"link", "iframe", "img"}
    code = "".join(re.findall(r"<(?:style|script)>(.*?)</(?:style|script)>", page.html, re.DOTALL))
    assert not re.findall(r"url\((?!#)|@import|fetch\(|XMLHttpRequest|import\(", code)


def test_a_page_stays_below_a_megabyte(whole: tuple[Path, Page]) -> None:
    assert len(whole[1].html.encode()) < 1_000_000


def test_every_link_leads_to_a_file_of_the_folder(whole: tuple[Path, Page]) -> None:
    folder, page = whole
    files = [link for link in page.links if not link.startswith("#")]
    assert {link.split("/")[0] for link in files} == {"records", "records.csv", "plots"}
    assert all((folder / link).is_file() for link in files)
    assert sum(link.startswith("records/") for link in files) == len(sample.sample_records())


def test_every_link_within_the_page_leads_to_a_section(whole: tuple[Path, Page]) -> None:
    inner = [link for link in whole[1].links if link.startswith("#")]
    assert len(inner) > 8
    assert {link[1:] for link in inner} <= whole[1].text.keys()


def test_every_plot_is_a_file_too(whole: tuple[Path, Page]) -> None:
    folder, page = whole
    paths = list((folder / "plots").iterdir())
    assert len(paths) == page.html.count('<svg role="img"') > 5
    assert all("</svg>" in path.read_text() for path in paths)


def test_the_csv_file_has_every_figure(whole: tuple[Path, Page]) -> None:
    rows = list(csv.DictReader(io.StringIO((whole[0] / "records.csv").read_text())))
    expected = [(r.case, name) for r in sample.sample_records() for name in r.metrics]
    assert sorted((r["case"], r["metric"]) for r in rows if r["metric"]) == sorted(expected)
    (one,) = (r for r in rows if (r["case"], r["metric"]) == ("bytes/cnn/zo", "up_payload"))
    assert (float(one["value"]), one["unit"], one["n"]) == (44.0, "byte", "1")


def test_nothing_temporary_stays(whole: tuple[Path, Page]) -> None:
    folder, _ = whole
    assert not [path for path in folder.rglob("*") if path.name.endswith(".tmp")]


def test_the_same_records_give_the_same_page(tmp_path: Path) -> None:
    folder = sample.write(tmp_path, sample.accuracy_records())
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_the_page_says_what_the_machine_is_and_why_a_figure_is_not_known(
    whole: tuple[Path, Page],
) -> None:
    machine = whole[1].text["machine"]
    assert "Sample Processor 1" in machine
    assert "8 GiB" in machine
    assert re.search(r"Governor\s*not known\s*a sample has none", machine)


def test_table_1_stands_as_printed_recomputed_and_measured(whole: tuple[Path, Page]) -> None:
    section = whole[1].text["formulas"]
    for figure in ("533.2", "404.0", "524.7", "+120.7", "12 B", "transposed"):
        assert figure in section
    assert "stand in each other's place" in section


def test_tables_hold_the_spread_and_the_number_of_samples(whole: tuple[Path, Page]) -> None:
    page = whole[1]
    assert re.search(r"60\.1\s*\(58\.9–61\.9\)", page.text["memory"])
    assert "44,695,876" in page.text["bytes"]
    assert re.search(r"88\.0 %\s*± 1\.6 \(86\.0–90\.0\)", page.text["accuracy"])
    assert "+5.2 to +10.8" in page.text["accuracy"]


def test_the_answer_comes_first_as_four_tiles(whole: tuple[Path, Page]) -> None:
    page = whole[1]
    assert list(page.text)[1] == "answer"
    found = [page.text["answer"].index(title) for title in ("Memory", "Bytes", "Time", "Accuracy")]
    assert found == sorted(found)


def test_the_title_names_the_machine(whole: tuple[Path, Page], tmp_path: Path) -> None:
    assert "Sample Processor 1, 4 cores, 8 GiB" in whole[1].text[""]
    records = sample.bytes_records()
    page = Page(write_report(sample.write(tmp_path, records), name="My board"))
    assert "<h1>ZO training on My board</h1>" in page.html


def test_what_fits_is_told_for_boards_from_the_measured_peaks(whole: tuple[Path, Page]) -> None:
    rows = re.sub(r"\s+", " ", whole[1].text["fit"])
    zo, fedavg = (4 * 11_173_962 / sample.MIB + 210 + mib for mib in (60.08, 457.6))
    for method, peak, time in (("ZO", zo, "65.4 s"), ("Backprop", fedavg, "98.9 s")):
        shares = [100 * peak / (board - 150) for board in (512, 1024, 4096)]
        words = ["fits" if share <= 90 else "does not fit" for share in shares]
        found = " ".join(f"{w}{share:.0f} %" for w, share in zip(words, shares, strict=True))
        assert f"{method}, 64 {peak:.0f} {peak + 150:.0f} {time} {found}" in rows


def test_engine_figures_stand_beside_their_limit(whole: tuple[Path, Page]) -> None:
    rows = re.sub(r"\s+", " ", whole[1].text["engine"])
    assert "perturb / add 1.25x 1.20–1.30 3 ≤ 2.00x pass" in rows
    assert "others / perturb 8.50x 8.00–9.00 3 ≥ 25.0x fail" in rows
    assert "replay rate 20.7 GB/s 20.1–21.0 3 – –" in rows


def test_a_run_of_one_group_says_what_is_missing(tmp_path: Path) -> None:
    page = page_of(tmp_path, sample.memory_records())
    assert "Not measured" not in page.text["memory"]
    for group in ("bytes", "time", "accuracy", "formulas", "engine"):
        assert group not in page.text
        assert f"zobench run --only {group}" in page.text["machine"]


@pytest.mark.parametrize("low_memory", [False, True])
def test_methods_are_told_only_of_what_the_page_shows(tmp_path: Path, low_memory: bool) -> None:
    more = sample.low_memory_records() if low_memory else []
    methods = page_of(tmp_path, [*sample.memory_records(), *more]).text["methods"]
    assert "section on" not in methods
    assert ("Steps that need less memory" in methods) == low_memory


@pytest.mark.parametrize("status", ["error", "timeout", "does not fit"])
def test_a_failed_case_is_shown_with_its_reason_never_as_zero(tmp_path: Path, status: str) -> None:
    config = {"model": "cnn", "method": "fedavg", "batch": 64}
    failed = sample.failed("time/cnn/fedavg/b64", config, status, "it broke <b>badly</b>")
    page = page_of(tmp_path, [failed])
    assert "b" not in page.tags  # escaped, so that a message cannot become markup
    assert f"time/cnn/fedavg/b64: {status}: it broke <b>badly</b>" in page.text["time"]
    assert re.search(rf"64\s*–\s*{status}\s*–\s*{status}", page.text["time"])


@pytest.mark.parametrize("group", ["memory", "bytes", "time", "accuracy", "formulas", "engine"])
def test_a_group_of_failures_alone_is_no_crash(tmp_path: Path, group: str) -> None:
    records = [r for r in sample.sample_records() if r.group == group]
    failures = [sample.failed(r.case, dict(r.config), "error", "no figure") for r in records]
    page = page_of(tmp_path, failures)
    assert "no figure" in page.text[group]
    assert "<svg" not in page.html
    assert "no figure" in printed(failures, width=200)


def test_uncommitted_changes_are_marked(tmp_path: Path) -> None:
    clean = sample.record("engine/a", {})
    dirty = sample.record("engine/b", {}, dirty=True)
    assert "uncommitted" not in page_of(tmp_path / "clean", [clean]).html
    page = page_of(tmp_path / "dirty", [clean, dirty])
    assert "uncommitted changes" in page.text[""]  # in the page's head, before all sections
    assert "uncommitted changes" in page.text["provenance"]
    assert len(re.findall(r'class="mark">', page.text["provenance"] + page.html)) == 2


def test_provenance_names_commit_scale_and_each_configuration(whole: tuple[Path, Page]) -> None:
    section = whole[1].text["provenance"]
    assert "0123456789ab" in section
    assert all(record.config_hash in section for record in sample.sample_records())


def test_one_seed_is_no_interval(tmp_path: Path) -> None:
    page = page_of(tmp_path, sample.accuracy_records(seeds=1))
    assert "n = 1" in page.text["accuracy"]
    assert "+" not in page.text["accuracy"].split("95 % interval")[-1].split("needs")[1]


def test_a_folder_without_records_is_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="contains no records"):
        write_report(tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())


def test_the_terminal_shows_cost_then_accuracy() -> None:
    text = printed(sample.sample_records())
    _, title, table = text.partition("ResNet18")
    assert title
    rows = [line.strip() for line in table.split("ViT")[0].splitlines()[4:] if line.strip()]
    assert [re.split(r"\s{2,}", row)[0] for row in rows] == [
        "peak memory, batch 1",
        "peak memory, batch 64",
        "whole process, batch 1",
        "whole process, batch 64",
        "bytes up",
        "bytes down",
        "time per step, batch 1",
        "time per step, batch 64",
        "time per round, batch 64",
    ]
    assert text.index("ResNet18") < text.index("+5.2 to +10.8")
    assert re.search(r"peak memory, batch 64 +< 2 MiB", text.split("CNN")[1])  # below resolution
    assert "Not measured" not in text


def test_the_terminal_fits_80_columns() -> None:
    assert max(map(len, printed(sample.sample_records(), width=80).splitlines())) <= 80
    assert "batch 64" in printed(sample.sample_records(), width=80)


def test_what_many_cases_lack_for_one_reason_is_one_line() -> None:
    lacking = [
        replace(record, metrics={"joules": Metric.unmeasured("joule", "no counter")})
        for record in sample.bytes_records()
    ]
    assert len(lacking) > 2
    (line,) = Results.of(lacking).missing("bytes")
    cases = f"{len(lacking)} cases, {lacking[0].case} to {lacking[-1].case}"
    assert line.startswith(f"joules not measured ({cases})")
    (single,) = Results.of(lacking[:1]).missing("bytes")
    assert single == f"joules not measured ({lacking[0].case}): no counter"
