"""Photograph the answer's tiles of a committed report for the README; needs chromium.

python tests/helpers/report_picture.py
"""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path

from bench.report.page import write_report

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "results" / "xeon-2core" / "default"
PICTURE = ROOT / "docs" / "pictures" / "report.png"
_WIDTH = 1020
_MARGIN = 16
_TILES = """
const box = document.querySelector('.tiles').getBoundingClientRect();
return [box.x, box.y, box.width, box.height];
"""


def photograph(page: Path, picture: Path) -> None:
    """Write a picture of a report's tiles, with a margin around them."""
    sys.path.insert(0, str(ROOT / "tests" / "bench"))
    from browser import browser

    with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as opened:
        opened.open(page, width=_WIDTH, dark=False)
        x, y, width, height = opened.run(_TILES)
        clip = {
            **{"x": x - _MARGIN, "y": y - _MARGIN, "scale": 1.15},
            **{"width": width + 2 * _MARGIN, "height": height + 2 * _MARGIN},
        }
        options = {"captureBeyondViewport": True, "clip": clip}
        taken = opened.devtools("Page.captureScreenshot", options)
        picture.write_bytes(base64.b64decode(taken["data"]))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        photograph(write_report(RECORDS, Path(folder)), PICTURE)
    print(PICTURE)
