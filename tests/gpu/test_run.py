"""The device script's steps: one that fails or hangs does not cost the output of the others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "run.sh"
# Instead of Python: a step prints a figure; then one fails and one hangs.
PYTHON = f"""#!/bin/sh
case "$*" in
    *summary.py* | "-c print"*) exec {sys.executable} "$@" ;;
    -c*) exit 0 ;;
esac
echo '{{"figure": 1}}'
echo "PYTHONPATH=$PYTHONPATH"
case "$*" in
    *"precision fp16 --compiled"*) exit 3 ;;
    *"bench run --device"* | *"--only search"*) exec sleep 60 ;;
esac
"""
TIMEOUT = f"""#!/bin/sh
[ "$1" = -k ] && shift 3 && exec {shutil.which("timeout")} 0.5 "$@"
"""


def run(folder: Path, part: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a part of the script whose Python and time limits are the ones above."""
    for name, text in {"python3": PYTHON, "timeout": TIMEOUT}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", SCRIPT, part, folder / "out", folder],
        env=os.environ | {"PATH": path, "PACK": str(folder / "pack.tar.gz")} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.process
@pytest.mark.parametrize(
    ("part", "codes"),
    [
        ("measure", {"kernels": 0, "rounds-fp16": 3, "suite": 124, "rounds-fp32": 0}),
        ("train", {"search": 124, "table2": 0}),
    ],
)
def test_a_step_that_fails_or_hangs_leaves_the_others(
    tmp_path: Path, part: str, codes: dict[str, int]
) -> None:
    done = run(tmp_path, part, ONLY=" ".join(codes))
    out = tmp_path / "out"
    found = [line.split(",")[0] for line in (out / f"status-{part}").read_text().splitlines()]
    assert found == [f"{name}: exit code {code}" for name, code in codes.items()]
    assert all("figure" in (out / f"{name}.txt").read_text() for name in codes)
    assert all(line in done.stdout for line in found)
    with tarfile.open(tmp_path / "pack.tar.gz") as pack:
        assert {f"./{name}.txt" for name in codes} <= set(pack.getnames())


@pytest.mark.process
def test_no_step_starts_without_time_for_it(tmp_path: Path) -> None:
    done = run(tmp_path, "measure", ONLY="kernels suite", SECONDS_IN_ALL="9")
    assert done.stdout.count("skipped, no time left") >= 2
    assert not (tmp_path / "out" / "kernels.txt").exists()


@pytest.mark.process
def test_the_older_checkout_comes_first_and_finds_the_same_packages(tmp_path: Path) -> None:
    run(tmp_path, "measure", ONLY="kernels rounds-f4032c4", PYTHONPATH="/packages")
    for step, first in (("kernels", SCRIPT.parents[2]), ("rounds-f4032c4", tmp_path)):
        lines = (tmp_path / "out" / f"{step}.txt").read_text().splitlines()
        path = next(line for line in lines if line.startswith("PYTHONPATH="))
        entries = path.removeprefix("PYTHONPATH=").split(":")
        assert entries[0] == str(first)
        assert entries[-1] == "/packages"
        assert (str(SCRIPT.parents[2]) in entries) == (step == "kernels")
