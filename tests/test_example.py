"""The examples are short, run as they are, and show what they are there to show."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def output_of(name: str) -> str:
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return run.stdout


@pytest.mark.process
def test_the_example_gains_accuracy_and_every_replica_ends_with_one_digest() -> None:
    printed = output_of("zowarmup.py")
    after_warmup, at_end = map(float, re.findall(r"accuracy .*?: ([\d.]+)", printed))
    assert at_end > after_warmup + 0.05
    assert len(re.findall(r"\b[0-9a-f]{64}\b", printed)) == 1, printed


@pytest.mark.slow
@pytest.mark.process
def test_a_fine_tune_is_rebuilt_from_a_log_a_tenth_of_its_size() -> None:
    printed = output_of("finetune_in_kilobytes.py")
    base, tuned, rebuilt = map(float, re.findall(r"accuracy .*?: ([\d.]+)", printed))
    assert tuned > base + 0.2
    assert rebuilt == tuned
    weights, log = map(float, re.findall(r"(\d+) kB", printed))
    assert log < weights / 10
    assert "equal to the bit: True" in printed


@pytest.mark.parametrize("name", ["zowarmup.py", "finetune_in_kilobytes.py"])
def test_an_example_fits_on_one_page(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) <= 80
