"""The page as a person sees it: on a phone and a desk, by day and by night."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser as chromium
import pytest
from optional import needs

pytestmark = [
    needs("chromium", "chromedriver"),
    pytest.mark.browser,
    pytest.mark.process,
    pytest.mark.network,
]

_WIDER = """
const limit = document.documentElement.clientWidth;
return [...document.querySelectorAll('main *')]
  .filter(e => !e.closest('.scroll, pre') && e.getBoundingClientRect().right > limit + 1)
  .map(e => e.tagName + ': ' + e.textContent.slice(0, 40));
"""
_UNDRAWN = """
return [...document.querySelectorAll('figure img')]
  .filter(i => !i.complete || i.naturalWidth === 0 || i.getBoundingClientRect().width < 200)
  .map(i => i.alt);
"""
_FIGURE = """
const box = document.querySelector('figure img').getBoundingClientRect();
return {x: box.x + 8, y: box.y + scrollY + 8, width: box.width - 16, height: box.height - 16};
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Browser]:
    with chromium.browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


VIEWS = [(width, dark) for width in (390, 1280) for dark in (False, True)]


@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_everything_is_drawn_and_fits_the_screen(
    opened: chromium.Browser, sample_page: Path, width: int, dark: bool
) -> None:
    opened.open(sample_page, width=width, dark=dark)
    opened.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert opened.console() == []
    assert opened.run("return document.querySelectorAll('figure img').length") == 14
    assert opened.run(_UNDRAWN) == []
    assert opened.run("return document.documentElement.scrollWidth") <= width
    assert opened.run(_WIDER) == []


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
        "<main><p style='width:3000px'>wide</p><figure><img src='gone.png' alt='gone'></figure>"
        "<script>undefinedFunction()</script></main>"
    )
    opened.open(broken, width=390, dark=False)
    assert opened.run(_UNDRAWN) == ["gone"]
    assert opened.run(_WIDER)[0].startswith("P: wide")
    assert any("undefinedFunction" in line for line in opened.console())
