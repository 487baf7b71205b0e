"""What the repository holds: no data sets, and records of commits that anyone can check out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LARGEST_BYTES = 5_000_000  # a report with its figures has one or two


def git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no checkout of git here: {error}")
    return done.stdout


def test_no_file_is_large() -> None:
    paths = (ROOT / name for name in git("ls-files", "-z").split("\0") if name)
    large = [path.name for path in paths if path.exists() and path.stat().st_size > LARGEST_BYTES]
    assert large == []


def test_every_record_is_of_a_commit_in_the_history() -> None:
    history = set(git("rev-list", "HEAD").split())
    records = {p: json.loads(p.read_text()) for p in (ROOT / "results").glob("**/records/*.json")}
    assert records
    unknown = [p for p, r in records.items() if r["provenance"]["commit"] not in history]
    shallow = git("rev-parse", "--is-shallow-repository").strip() == "true"
    if shallow or len(unknown) == len(records):
        pytest.skip("a copy or a shallow clone, without the history")
    assert [str(path.relative_to(ROOT)) for path in unknown] == []
