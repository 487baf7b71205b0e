"""examples/zowarmup.py is short, runs as it is, and shows what it is there to show."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "zowarmup.py"


@pytest.mark.process
def test_the_example_gains_accuracy_and_every_replica_ends_with_one_digest() -> None:
    run = subprocess.run(
        [sys.executable, str(EXAMPLE)], capture_output=True, text=True, check=True, timeout=600
    )
    after_warmup, at_end = map(float, re.findall(r"accuracy .*?: ([\d.]+)", run.stdout))
    assert at_end > after_warmup + 0.05
    assert len(re.findall(r"\b[0-9a-f]{64}\b", run.stdout)) == 1, run.stdout


def test_the_example_fits_on_one_page() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 80
