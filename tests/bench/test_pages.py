"""The pages of committed records: all can be built, and README and docs show the right pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sample_records as sample
from optional import needs_results

from bench.__main__ import main
from bench.records.record_index import Results
from bench.records.store import StoreError, read_records
from bench.report.pages import folders_below, write_reports
from bench.report.pictures import FOLDER, PICTURES
from bench.report.plots.by_group import PLOTS, plots_of

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.slow
@needs_results
def test_the_page_of_every_committed_folder_can_be_built(tmp_path: Path) -> None:
    pages = write_reports([ROOT / "results"], tmp_path)
    for folder, page in zip(folders_below(ROOT / "results"), pages[:-1], strict=True):
        text = page.read_text(encoding="utf-8")
        groups = {record.group for record in read_records(folder)}
        assert {group for group in groups if f'<section id="{group}">' not in text} == set()
        links = re.findall(r'href="(?!#)([^"]+)"', text)
        assert [link for link in links if not (page.parent / link).exists()] == []


def test_all_writes_the_same_tree_below_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one/default", "two/laptop"):
        sample.write(tmp_path / "in" / name, sample.bytes_records())
    out = tmp_path / "pages"
    assert main(["report", "--all", str(tmp_path / "in"), "--out", str(out)]) == 0
    printed = capsys.readouterr().out.splitlines()
    pages = [out / name / "report.html" for name in ("one/default", "two/laptop")]
    assert printed == list(map(str, [*pages, out / "index.html"]))
    assert all(page.is_file() for page in pages)
    assert not list((tmp_path / "in").rglob("report.html"))


def test_a_folder_without_records_below_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no folder with"):
        folders_below(tmp_path)
    assert main(["report", "--all", str(tmp_path)]) == 2


def test_every_picture_that_a_page_shows_exists_and_every_picture_is_shown() -> None:
    shown = {
        (page.parent / link).resolve()
        for page in PAGES
        for link in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    }
    drawn = {(ROOT / FOLDER / f"{name}.png").resolve() for name in PICTURES}
    photograph = ROOT / FOLDER / "report.png"  # by tests/helpers/report_picture.py
    assert shown == drawn | {photograph}
    assert photograph.stat().st_size < 150_000
    assert [path for path in shown if not path.is_file()] == []


@needs_results
def test_every_picture_can_be_drawn_from_its_records() -> None:
    for name, folder in PICTURES.items():
        results = Results.of(read_records(ROOT / folder))
        plots = [plot for group in PLOTS for plot in plots_of(results, group)]
        assert name in {plot.name for plot in plots}
