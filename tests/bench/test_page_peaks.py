"""A page never writes two peaks of the whole process for one step."""

from __future__ import annotations

from pathlib import Path

import page_peaks
import pytest
import sample_records as sample
from optional import needs_results
from page_peaks import Step, disagreeing, peaks_on

from bench.report.page import write_report

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("peaks")
    records = [*sample.sample_records(), *sample.low_memory_records()]
    return write_report(sample.write(folder, records))


def test_the_collector_sees_the_answer_and_all_tables(page: Path) -> None:
    found = {step: {peak.place for peak in peaks} for step, peaks in peaks_on(page).items()}
    assert found[Step("ResNet18", "ZO", "64")] == {
        *("what fits", "memory", "low memory", "answer", "chart")
    }
    least = Step("ResNet18", "Backprop, one item at a time, checkpointed", "64")
    assert found[least] == {"what fits", "low memory", "answer", "chart"}
    assert found[Step("ViT", "Backprop", "8")] == {"what fits", "memory"}


def test_one_quantity_has_one_number(page: Path) -> None:
    assert disagreeing(peaks_on(page)) == {}


def test_a_second_number_is_found(page: Path, tmp_path: Path) -> None:
    html = page.read_text()
    changed = tmp_path / "changed.html"
    changed.write_text(html.replace("ZO: 313 MiB", "ZO: 261 MiB", 1))
    assert changed.read_text() != html
    (step,) = disagreeing(peaks_on(changed))
    assert step == Step("ResNet18", "ZO", "64")


@needs_results
@pytest.mark.parametrize("name", ["default", pytest.param("laptop", marks=pytest.mark.slow)])
def test_the_committed_pages_have_one_number(name: str, tmp_path: Path) -> None:
    found = peaks_on(write_report(RESULTS / "xeon-2core" / name, tmp_path))
    assert len(found) >= 6
    assert disagreeing(found) == {}


def test_the_script_lists_what_disagrees(page: Path) -> None:
    two = [page_peaks.Peak("what fits", 510.0), page_peaks.Peak("answer", 611.0)]
    step = Step("ResNet18", "Backprop", "64")
    assert disagreeing({step: two, Step("a", "b", "1"): two[:1]}) == {step: two}
    close = [page_peaks.Peak("memory", 351.0), page_peaks.Peak("edge", 352.0)]
    assert disagreeing({step: close}) == {}
