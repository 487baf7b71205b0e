"""The documentation as a site: it builds without a warning, and the API pages have every name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from optional import needs

import devices
import zo_core

ROOT = Path(__file__).parents[1]
pytestmark = [needs("mkdocs"), pytest.mark.process]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict"]
    subprocess.run([*command, "--site-dir", str(folder)], cwd=ROOT, check=True)
    return folder


@pytest.mark.parametrize("package", [zo_core, devices], ids=lambda package: package.__name__)
def test_the_api_page_has_every_public_name(site: Path, package: object) -> None:
    name = package.__name__  # type: ignore[attr-defined]
    page = (site / "reference" / name / "index.html").read_text(encoding="utf-8")
    shown = {anchor.rsplit(".", 1)[-1] for anchor in re.findall(rf'id="({name}\.[^"]+)"', page)}
    assert set(package.__all__) - shown == set()  # type: ignore[attr-defined]


def test_links_that_leave_the_docs_have_no_target(site: Path) -> None:
    page = (site / "boards" / "raspberry-pi" / "index.html").read_text(encoding="utf-8")
    assert "results/README.md" not in page
