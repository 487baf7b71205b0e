"""The suite's command in a process of its own: Ctrl-C in the middle, and a folder's own pytest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.records.store import check_records

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is no signal there")
def test_ctrl_c_leaves_valid_partial_results_and_a_report(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "run", "--scale", "smoke", "--only", "bytes,memory"]
    out = tmp_path / "out"
    # The folder's pytest makes errors of warnings, which must not end the command's run.
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    running = subprocess.Popen(
        [*command, "--model", "cnn", "--out", str(out)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a terminal sends Ctrl-C to all processes of the command
    )
    began = time.monotonic()
    while not list(out.glob("records/*.json")) and time.monotonic() < began + 120:
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGINT)
    told, _ = running.communicate(timeout=120)
    assert running.returncode == 130, told
    found = check_records(out)
    assert found
    assert [checked for checked in found if checked.problems] == []
    assert (out / "report.html").is_file()
    assert not [path for path in out.rglob("*") if path.name.endswith(".tmp")]
