"""What the repository contains: no data sets."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LARGEST_BYTES = 5_000_000  # a report with its figures has one or two


def git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this copy of the source has no git history: {error}")
    return done.stdout


def test_no_file_is_large() -> None:
    paths = (ROOT / name for name in git("ls-files", "-z").split("\0") if name)
    large = [path.name for path in paths if path.exists() and path.stat().st_size > LARGEST_BYTES]
    assert large == []
