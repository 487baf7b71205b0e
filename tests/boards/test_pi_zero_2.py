"""The script for a Raspberry Pi Zero 2 W's memory, over few images."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("pi-zero-2.sh")
SKIPPED = 77

pytestmark = [pytest.mark.slow, pytest.mark.process]


def test_both_clients_complete_in_the_boards_memory_as_predicted() -> None:
    ended = subprocess.run(
        ["sh", str(SCRIPT), "16"],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode == SKIPPED:
        pytest.skip(ended.stdout.strip())

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "42 bytes up" in ended.stdout
    assert "the same without the limit: yes" in ended.stdout
