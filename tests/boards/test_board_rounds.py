"""The scripts for the memory of small boards, over few images."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.workloads.edge import exported

FOLDER = Path(__file__).parent
SKIPPED = 77

pytestmark = [pytest.mark.slow, pytest.mark.process]


def run(script: str, *arguments: str, **variables: str) -> str:
    ended = subprocess.run(
        ["sh", str(FOLDER / script), *arguments],
        env={**os.environ, "PYTHON": sys.executable, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode == SKIPPED:
        pytest.skip(ended.stdout.strip())
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "42 bytes up" in ended.stdout
    assert "the same without the limit: yes" in ended.stdout
    return ended.stdout


def test_both_clients_complete_in_512_mib_as_predicted() -> None:
    assert "torch, zo, 16 images by 8 under 362 MiB: ok" in run("pi-zero-2.sh", "16")


@pytest.mark.nightly
def test_larger_batches_and_backprop_complete_in_1_gib_as_predicted() -> None:
    shown = run("pi-4-1gb.sh", "64")
    assert "torch, zo, 64 images by 64 under 874 MiB: ok" in shown
    assert "torch, fedavg, 64 images by 8 under 874 MiB: ok" in shown


@pytest.mark.nightly
def test_a_throttled_processor_changes_neither_bits_nor_bytes() -> None:
    folder = exported("resnet18")
    quick = run("pi-zero-2.sh", "8", folder)
    slow = run("pi-zero-2.sh", "8", folder, CPU_PERCENT="10")
    if "not slowed down" in slow:
        pytest.skip(next(line for line in slow.splitlines() if "not slowed down" in line))

    assert digest_row(quick) == digest_row(slow)
    assert int(slow.split("nr_throttled ")[1].split()[0]) > 0


def digest_row(shown: str) -> str:
    return next(row for row in shown.splitlines() if "digest" in row)
