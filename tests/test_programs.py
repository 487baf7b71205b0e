"""Programs among the tests that the documentation names: each starts as it is written there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
PROGRAMS = sorted(
    {name for page in PAGES for name in re.findall(r"python (tests/\S+?\.py)", page.read_text())}
)

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_finds_all_that_it_imports(program: str, tmp_path: Path) -> None:
    path = ROOT / program
    code = f"import runpy, sys; sys.path.insert(0, {str(path.parent)!r}); "  # as python FILE does
    code += f"runpy.run_path({str(path)!r}, run_name='tried')"
    started = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert started.returncode == 0, started.stderr
