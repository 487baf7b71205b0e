"""The shell completion that shtab writes from the parser knows commands, options and choices."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from optional import needs

pytestmark = [needs("shtab"), pytest.mark.process]

SCRIPT = """
source zobench.bash
COMP_WORDS=(zobench "$@"); COMP_CWORD=$#; COMPREPLY=()
$(complete -p zobench | sed -E 's/.*-F ([^ ]+).*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tr"], "train"),
        (["train", "--warm"], "--warmup-cohort"),
        (["train", "--algorithm", "fedk"], "fedkseed"),
        (["join", "--backend", ""], "onnx"),
        (["train", "--config", "zob"], "zobench.bash"),
    ],
)
def test_bash_completes(words: list[str], expected: str, tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "shtab", "--shell", "bash", "bench.__main__.build_parser"],
        capture_output=True,
        text=True,
        check=True,
    )
    (tmp_path / "zobench.bash").write_text(made.stdout)
    done = subprocess.run(
        ["bash", "-c", SCRIPT, "complete", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert expected in done.stdout.split()
