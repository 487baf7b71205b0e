"""zobench replay: the weights that a run ended with, from files alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from bench.__main__ import main
from bench.cli import EXIT_DONE, EXIT_USAGE
from zo_core.torch import ZOSGD


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base with a tensor that is not trained, a log of 5 steps, and the weights after it."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
    module[1].requires_grad_(False)
    save_file(module.state_dict(), tmp_path / "base.safetensors", metadata={"format": "pt"})
    optimizer = ZOSGD(module.named_parameters(), lr=0.05)
    for _ in range(5):
        optimizer.step(lambda: module(torch.ones(3, 4)).square().mean())
    optimizer.log().save(tmp_path / "tune.zolog")
    save_file(module.state_dict(), tmp_path / "tuned.safetensors")
    return tmp_path


def run(folder: Path, *words: str) -> int:
    base, log = folder / "base.safetensors", folder / "tune.zolog"
    return main(["replay", str(base), str(log), "--out", str(folder / "out"), *words])


def test_the_files_weights_are_those_of_the_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--json") == EXIT_DONE
    assert json.loads(capsys.readouterr().out)["steps"] == 5
    rebuilt, tuned = load_file(folder / "out"), load_file(folder / "tuned.safetensors")
    assert rebuilt.keys() == tuned.keys()
    assert all(torch.equal(rebuilt[name], tuned[name]) for name in tuned)
    with safe_open(folder / "out", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}


@pytest.mark.parametrize("damage", ["log", "base", "steps", "missing"])
def test_what_cannot_be_replayed_is_a_usage_error(
    folder: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--steps", "6"] if damage == "steps" else []
    if damage == "log":
        body = (folder / "tune.zolog").read_bytes()
        (folder / "tune.zolog").write_bytes(body[:-1])
    if damage == "base":
        save_file(load_file(folder / "tuned.safetensors"), folder / "base.safetensors")
    if damage == "missing":
        (folder / "base.safetensors").unlink()
    assert run(folder, *words) == EXIT_USAGE
    assert "Traceback" not in capsys.readouterr().err
    assert not (folder / "out").exists()
