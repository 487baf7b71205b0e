"""The page as a person sees it: on a phone and a desk, by day and by night."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser as chromium
import pytest
import sample_records as sample
import test_cuda_records as gpu_records
from optional import needs, needs_results

from bench.report.page import write_report
from bench.report.pages import write_comparison

ROOT = Path(__file__).parents[2]

pytestmark = [
    needs("chromium", "chromedriver"),
    pytest.mark.browser,
    pytest.mark.process,
    pytest.mark.network,
]

# What sticks out of the page; parts that scroll by themselves are looked at by _SCROLLING.
_WIDER = """
const limit = document.documentElement.clientWidth;
return [...document.querySelectorAll('main *')]
  .filter(e => !e.closest('.scroll, pre') && e.getBoundingClientRect().right > limit + 1)
  .map(e => e.tagName + ': ' + e.textContent.slice(0, 40));
"""
_SCROLLING = """
return [...document.querySelectorAll('.scroll, pre')]
  .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.ariaLabel);
"""
_CLIPPED = """
return [...document.querySelectorAll('figure svg')].flatMap(svg => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].filter(t => {
    const own = t.getBoundingClientRect();
    return own.left < box.left || own.right > box.right || own.top < box.top;
  }).map(t => t.textContent);
});
"""
_OVERLAPPING = """
return [...document.querySelectorAll('.chart .head .plot')].flatMap(axis => {
  const boxes = [...axis.querySelectorAll('span')].map(e => e.getBoundingClientRect());
  const shown = boxes.filter(box => box.width).sort((a, b) => a.left - b.left);
  return shown.slice(1).filter((box, i) => shown[i].right > box.left).map(() => axis.textContent);
});
"""
_UNDRAWN = """
return [...document.querySelectorAll('figure svg')]
  .filter(e => e.getBoundingClientRect().width < 200).map(e => e.ariaLabel);
"""
_FIGURE = """
const box = document.querySelector('figure svg').getBoundingClientRect();
return {x: box.x + 8, y: box.y + scrollY + 8, width: box.width - 16, height: box.height - 16};
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Browser]:
    with chromium.browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


VIEWS = [(width, dark) for width in (390, 1280) for dark in (False, True)]


def check(opened: chromium.Browser, page: Path, width: int, *, dark: bool) -> None:
    """Open a page with everything unfolded: nothing is clipped, undrawn or too wide."""
    opened.open(page, width=width, dark=dark)
    opened.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert opened.console() == []
    assert opened.run(_UNDRAWN) == []
    assert opened.run(_CLIPPED) == []
    assert opened.run(_OVERLAPPING) == []
    assert opened.run("return document.documentElement.scrollWidth") <= width
    assert opened.run(_WIDER) == []
    if width >= 1280:
        assert opened.run(_SCROLLING) == []


@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_everything_is_drawn_and_fits_the_screen(
    opened: chromium.Browser, sample_page: Path, width: int, dark: bool
) -> None:
    check(opened, sample_page, width, dark=dark)
    assert opened.run("return document.querySelectorAll('figure svg').length") > 5


@pytest.fixture(scope="module")
def other_pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of a GPU, and the index of two machines."""
    folder = tmp_path_factory.mktemp("others")
    gpu = sample.write(folder / "gpu" / "default", gpu_records.on_a_gpu())
    host = sample.write(folder / "host" / "default", sample.sample_records())
    *_, index = write_comparison([gpu, host], folder / "out")
    return {"gpu": folder / "out" / "gpu" / "default" / "report.html", "index": index}


@pytest.mark.parametrize("name", ["gpu", "index"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_pages_of_a_gpu_and_of_several_machines_fit_too(
    opened: chromium.Browser, other_pages: dict[str, Path], name: str, width: int
) -> None:
    check(opened, other_pages[name], width, dark=False)


@pytest.mark.slow
@needs_results
@pytest.mark.parametrize(
    "folder",
    [
        *("xeon-2core/default", "epyc-2core/laptop", "epyc-2core/frontier-fashion"),
        *("epyc-2core/llm", "epyc-2core/tables-digits", "epyc-2core/tables-cifar10"),
    ],
)
def test_the_pages_of_committed_records_fit_and_stay_below_a_megabyte(
    opened: chromium.Browser, tmp_path: Path, folder: str
) -> None:
    page = write_report(ROOT / "results" / folder, tmp_path)
    assert page.stat().st_size < 1_000_000
    for width in (390, 1280):
        check(opened, page, width, dark=True)


_TONES = """
return [...document.querySelectorAll('.limited')].map(chart =>
  [...chart.querySelectorAll('[data-amount] .verdict')].map(e => e.textContent));
"""
_SET_BOARD = """
const field = document.querySelector('.limit input[type=number]');
field.value = %d;
field.dispatchEvent(new Event('input'));
"""


def test_the_slider_judges_as_the_page_does_without_it(
    opened: chromium.Browser, sample_page: Path
) -> None:
    opened.open(sample_page, width=1280, dark=False)
    static = opened.run(_TONES)
    opened.run(_SET_BOARD % 512)
    assert opened.run(_TONES) == static
    opened.run(_SET_BOARD % 64)
    assert set(opened.run(_TONES)[0]) == {"does not fit"}
    opened.run(_SET_BOARD % 65536)
    assert set(opened.run(_TONES)[0]) == {"fits"}


_IS_LEGEND_RIGHT = """
return [...document.querySelectorAll('.limited')].map(chart =>
  chart.querySelector('.tight-bar').hidden === !chart.querySelector('.row.tight'));
"""


@pytest.mark.parametrize("mib", [64, 512, 65536])
def test_the_legend_explains_tight_only_while_a_bar_is(
    opened: chromium.Browser, sample_page: Path, mib: int
) -> None:
    opened.open(sample_page, width=1280, dark=False)
    opened.run(_SET_BOARD % mib)
    assert set(opened.run(_IS_LEGEND_RIGHT)) == {True}


def test_a_table_is_copied_as_markdown(opened: chromium.Browser, sample_page: Path) -> None:
    opened.open(sample_page, width=1280, dark=False)
    text = opened.run(
        "let copied; Object.defineProperty(navigator, 'clipboard',"
        " {value: {writeText: text => { copied = text; return Promise.resolve(); }}});"
        "document.querySelector('#bytes .copy').click(); return copied;"
    )
    lines = text.splitlines()
    assert lines[0].startswith("| Model | Method |")
    assert len({line.count("|") for line in lines}) == 1
    assert any("44,695,876 (42.6 MiB)" in line for line in lines)


def test_the_index_is_sorted_and_filtered(
    opened: chromium.Browser, other_pages: dict[str, Path]
) -> None:
    opened.open(other_pages["index"], width=1280, dark=False)
    rows = "return [...document.querySelectorAll('tr[data-memory]')].filter(r => !r.hidden)"
    names = f"{rows}.map(r => r.cells[0].textContent);"
    opened.run("document.querySelector('.sort').click()")
    once = opened.run(names)
    opened.run("document.querySelector('.sort').click()")
    assert opened.run(names) == once[::-1]
    opened.run(
        "const least = document.querySelector('.memory-filter input'); least.value = 1e6;"
        "least.dispatchEvent(new Event('input'))"
    )
    assert opened.run(names) == []


def brightness(opened: chromium.Browser, clip: dict[str, Any]) -> float:
    """Mean of all pixels of a part of the page, 0 for black and 1 for white."""
    from matplotlib.image import imread

    clip = {**clip, "scale": 1}
    options = {"captureBeyondViewport": True, "clip": clip}
    taken = opened.devtools("Page.captureScreenshot", options)
    pixels = imread(io.BytesIO(base64.b64decode(taken["data"])))
    return float(pixels[..., :3].mean())


def test_figures_follow_the_colour_scheme(opened: chromium.Browser, sample_page: Path) -> None:
    found = {}
    for dark in (False, True):
        opened.open(sample_page, width=1280, dark=dark)
        found[dark] = brightness(opened, opened.run(_FIGURE))
    assert found[False] > 0.8
    assert found[True] < 0.35


def test_the_checks_see_what_they_look_for(opened: chromium.Browser, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(
        "<main><p style='width:3000px'>wide</p><div class='scroll' aria-label='table'"
        " style='overflow-x:auto'><p style='width:3000px'>x</p></div>"
        "<figure><svg width='100' aria-label='small'><text x='90' y='9'>clipped</text></svg>"
        "</figure>"
        "<script>undefinedFunction()</script></main>"
    )
    opened.open(broken, width=390, dark=False)
    assert opened.run(_UNDRAWN) == ["small"]
    assert opened.run(_CLIPPED) == ["clipped"]
    assert opened.run(_SCROLLING) == ["table"]
    assert opened.run(_WIDER)[0].startswith("P: wide")
    assert any("undefinedFunction" in line for line in opened.console())
