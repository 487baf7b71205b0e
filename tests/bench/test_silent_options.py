"""An option that would change nothing is refused; a trial without an answer is no success."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_fit import cell

from bench.__main__ import build_parser, main
from bench.cli import EXIT_DONE, EXIT_GATE
from bench.cli.config_options import chosen_config
from bench.cli.no_effect import without_effect
from bench.suite.preflight import check_model
from bench.suite.suite import Suite
from zo_core.data import load_dataset


@pytest.mark.parametrize(
    "options",
    [{"seeds": 2}, {"workers": 1}, {"minutes": 5.0}, {"verify": False}, {"data_dir": "."}],
)
def test_options_of_trainings_are_refused_where_nothing_trains(
    tmp_path: Path, options: dict[str, object]
) -> None:
    out = str(tmp_path / "out")
    name = next(iter(options)).replace("verify", "no-verify").replace("_", "-")
    with pytest.raises(ValueError, match=f"--{name} has no effect without a table"):
        Suite.from_options(scale="default", only=None, out=out, campaign=options)
    assert not (tmp_path / "out").exists()


def test_an_own_data_set_that_a_table_would_not_use_is_refused(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    with pytest.raises(ValueError, match="--dataset has no effect on writers"):
        Suite.from_options(
            scale="smoke", only="table7,writers", out=out, campaign={"dataset": "synthetic"}
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [{"verify": False}, {"data_dir": "."}])
def test_files_are_not_looked_for_where_a_table_needs_none(
    tmp_path: Path, options: dict[str, object]
) -> None:
    out = str(tmp_path / "out")
    with pytest.raises(ValueError, match="has no effect on digits"):
        Suite.from_options(scale="smoke", only="table7", out=out, campaign=options)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--algorithm", "fedavg", "--rounds", "8", "--pivot", "2"], ["pivot"]),
        (["--algorithm", "fedavg", "--micro-batch", "4"], ["micro-batch"]),
        (["--algorithm", "fedavg", "--micro-batch", "4", "--backprop", "accumulated"], []),
        (["--algorithm", "scaffold", "--zo-cohort", "4"], ["zo-cohort"]),
        (["--algorithm", "high-res-only", "--precision", "bf16"], ["precision"]),
        (["--algorithm", "mezo", "--pivot", "3", "--micro-batch", "4"], ["pivot"]),
        (["--model", "torchvision:resnet18", "--norm", "batch"], ["norm"]),
        (["--pivot", "3", "--micro-batch", "4", "--precision", "bf16", "--norm", "batch"], []),
        (["--algorithm", "warmup-partial", "--pivot", "3"], []),
    ],
)
def test_an_option_that_a_training_does_not_use_is_named(
    words: list[str], named: list[str]
) -> None:
    arguments = build_parser("train").parse_args(["train", *words])
    found = without_effect(arguments, chosen_config(arguments), load_dataset("digits"))
    assert [line.split()[0] for line in found] == [f"--{name}" for name in named]


def test_alpha_is_named_where_the_data_say_who_holds_what() -> None:
    arguments = build_parser("train").parse_args(["train", "--alpha", "5"])
    digits = load_dataset("digits")
    own = replace(digits, clients=torch.arange(len(digits.train)) % 50)
    config = chosen_config(arguments)
    assert without_effect(arguments, config, digits) == []
    assert "--alpha has no effect" in without_effect(arguments, config, own)[0]


def test_no_option_given_is_no_mistake(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    Suite.from_options(scale="smoke", only="bytes", out=out, campaign={"verify": True})


@pytest.mark.process
@pytest.mark.parametrize("model", ["vit@3x30x30", "vit@3x3x3"])
def test_a_shape_that_a_model_of_the_suite_cannot_take_is_refused(model: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        check_model(model)


@pytest.mark.parametrize(
    ("status", "code"), [("error", EXIT_GATE), ("timeout", EXIT_GATE), ("ok", EXIT_DONE)]
)
def test_trials_that_all_fail_are_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: str, code: int
) -> None:
    monkeypatch.setattr("bench.cli.fit._cells", lambda *_: [cell(90, 100, status)])
    assert main(["fit", "--device", "1GiB", "--model", "cnn", "--measure"]) == code
    assert ("no trial had a result" in capsys.readouterr().out) == (code == EXIT_GATE)
