"""``--model`` as a user gives it to ``pytest --benchmark`` and ``zobench run``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.store import read_records

OWN = """
from torch import nn
def tiny():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 7))
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_users_model_takes_the_place_of_the_scales(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    words = ["run", "--scale", "smoke", "--only", "bytes", "--out", "out"]
    done = run(tmp_path, "bench", *words, "--model", "own:tiny", "--input-shape", "3,2,2")
    assert done.returncode == 0, done.stdout + done.stderr
    records = {record.case: record for record in read_records(tmp_path / "out")}
    assert set(records) == {"bytes/own-tiny-3x2x2/zo", "bytes/own-tiny-3x2x2/fedavg"}
    assert records["bytes/own-tiny-3x2x2/fedavg"].metrics["up_scalars"].value == 4 * (12 * 7 + 7)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "nonsense"], "one of resnet18"),
        (["--model", "no_such:thing"], "cannot be imported"),
        (["--input-shape", "3,2,2"], "add --model"),
        (["--device", "tpu"], "auto, cpu, cuda"),
    ],
)
def test_a_users_mistake_is_a_usage_error(tmp_path: Path, words: list[str], expected: str) -> None:
    done = run(tmp_path, "pytest", "--benchmark", *words)
    assert done.returncode == int(pytest.ExitCode.USAGE_ERROR)
    assert expected in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "zobench-results").exists()
