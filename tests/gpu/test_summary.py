"""What the device script left, whole or cut, against the limits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
PASSES = {"perturb": 1.1, "re-perturb": 1.1, "replay 30": 4.0, "replay 150": 17.0}
OLD = {"checkout": "/old", "zo_round_s": 4.5, "warm_up_s": 0.42}
NEW = {"checkout": "/new", "zo_round_s": 1.7, "warm_up_s": 0.2, "zo_step_over_two_forwards": 1.05}


def leave(folder: Path, step: str, *lines: object) -> None:
    (folder / f"{step}.txt").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with (folder / "status-measure").open("a") as status:
        status.write(f"{step}: exit code 0, 9 of 60 s\n")


def summary(folder: Path) -> tuple[int, str]:
    command = [sys.executable, str(FOLDER / "summary.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.process
def test_figures_within_their_limits_pass_and_one_beyond_fails(tmp_path: Path) -> None:
    leave(tmp_path, "kernels", {"differing": []}, {"whole": PASSES}, {"resnet18": PASSES})
    leave(tmp_path, "rounds-f4032c4", OLD)
    leave(tmp_path, "rounds-fp16", *({name: value} for name, value in NEW.items()))
    code, text = summary(tmp_path)
    assert code == 0, text
    assert "2.647  fp16 ZO round" in text
    assert "11.833  fp16 500 rounds" in text  # (200 * 5 * 0.2 + 300 * 1.7) / 60
    leave(tmp_path, "rounds-tf32", {**NEW, "zo_step_over_two_forwards": 1.07})
    code, text = summary(tmp_path)
    assert code == 1
    assert "FAILS      1.070  tf32 ZO step" in text


@pytest.mark.process
@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([{"differing": ["replay h=1"]}], "replay h=1"),  # and then it was cut
        ([{"differing": []}, {"whole": PASSES | {"replay 30": 5.1}}], "whole replay 30"),
    ],
)
def test_a_cut_step_is_judged_by_what_it_had_found(
    tmp_path: Path, lines: list[object], words: str
) -> None:
    leave(tmp_path, "kernels", *lines)
    code, text = summary(tmp_path)
    assert code == 1
    assert any(words in line for line in text.splitlines() if line.startswith("FAILS"))


@pytest.mark.process
def test_a_round_that_ran_in_the_wrong_checkout_is_noticed(tmp_path: Path) -> None:
    leave(tmp_path, "rounds-f4032c4", OLD | {"checkout": "/new"})
    leave(tmp_path, "rounds-fp16", NEW)
    assert "both rounds ran in /new" in summary(tmp_path)[1]


@pytest.mark.process
def test_the_script_says_how_it_is_used() -> None:
    done = subprocess.run(
        ["sh", str(FOLDER / "run.sh")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "run.sh measure OUT [OLD]" in done.stdout


@pytest.mark.process
def test_trainings_are_listed_without_those_of_the_search(tmp_path: Path) -> None:
    cells = tmp_path / "paper" / "cells"
    cells.mkdir(parents=True)
    curve = {"test_accuracy": [0.1, 0.352]}
    left = {"curve": curve, "rounds_done": 120, "digest": "a1b2", "projected_s": 690.0}
    for seed, rounds in ((0, 500), (1000, 20)):
        config = {"algorithm": "zowarmup", "high_share": 0.1, "run_seed": seed, "rounds": rounds}
        cell = {"config": config, "training": left, "error": "120 of 500"}
        (cells / f"{seed}.json").write_text(json.dumps(cell))
    (tmp_path / "status-train").write_text("table2: exit code 0, 90 of 300 s\n")
    code, text = summary(tmp_path)
    assert code == 0, text
    (line,) = [line for line in text.splitlines() if line.startswith("zowarmup")]
    for part in ("10% high, seed 0", "120 of 500", "35.2 %", "11.5 minutes", "digest a1b2"):
        assert part in line
