"""The suite's command in a process of its own: Ctrl-C in the middle, and a folder's own pytest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import WAIT_S, wait_until

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
    assert wait_until(lambda: any(out.glob("records/*.json")))
    os.killpg(running.pid, signal.SIGINT)
    told, _ = running.communicate(timeout=WAIT_S)
    assert running.returncode == 130, told
    found = check_records(out)
    assert found
    assert [checked for checked in found if checked.problems] == []
    assert (out / "report.html").is_file()
    assert not [path for path in out.rglob("*") if path.name.endswith(".tmp")]
