"""``--config FILE``: the file's options, the command line's above them, mistakes by their key."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import build_parser, main
from bench.cli.config_options import chosen_config, default_pivot
from zo_core.config import TrainConfig


def config_of(*words: str) -> TrainConfig:
    return chosen_config(build_parser("train").parse_args(["train", *words]))


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('split = "50/50"\nrounds = 20\ngrid = false\ntau = 0.5\nforce = true\n')
    words = ["--config", str(file)]
    config = config_of(*words).to_json()
    assert [config[n] for n in ("high_share", "rounds", "grid", "tau")] == [0.5, 20, False, 0.5]
    over = config_of(*words, "--grid", "--rounds=40", "--high-share", "0.2", "--no-force").to_json()
    assert [over[n] for n in ("high_share", "rounds", "grid", "tau")] == [0.2, 40, True, 0.5]
    assert (config["force"], over["force"]) == (True, False)


@pytest.mark.parametrize("words", [[], ["--algorithm", "fedavg", "--backprop", "layerwise"]])
def test_a_dry_run_prints_a_file_that_gives_the_same_config(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*words, "--rounds", "12", "--split", "30/70", "--run-seed", str(2**64 - 1)]
    assert main(["train", "--dry-run", *given]) == 0
    file = tmp_path / "run.toml"
    file.write_text(capsys.readouterr().out)
    assert config_of("--config", str(file)) == config_of(*given)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("round = 3", "unknown key 'round'; did you mean rounds?"),
        ("batch_size = 3", "did you mean batch-size?"),
        ('config = "other.toml"', "unknown key 'config'"),
        ("rounds = 'many'", "--rounds"),
        ("rounds = true", "rounds must be a number or a text, got true"),
        ("grid = 1", "grid must be true or false, got 1"),
        ("[train]\nrounds = 3", "unknown key 'train'"),
        ("rounds = [3]", "rounds must be a number or a text"),
        ('algorithm = "zowarmpu"', "did you mean zowarmup?"),
        ("rounds", "TOML"),
        (None, "--config must be a TOML file"),
    ],
)
def test_a_mistake_in_the_file_names_file_and_key(
    text: str | None, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(["train", "--config", str(file)])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert str(file) in error
    assert expected in error
    assert error.count("\n") == 1


def test_the_default_pivot_follows_the_rounds() -> None:
    assert config_of().pivot == TrainConfig.pivot
    for rounds in (1, 2, 10, 80, 400, 1000):
        pivot = config_of("--rounds", str(rounds)).pivot
        assert pivot == default_pivot(rounds)
        assert 1 <= pivot <= rounds
        assert abs(pivot / rounds - TrainConfig.pivot / TrainConfig.rounds) < 1 / rounds
    assert config_of("--rounds", "10", "--pivot", "0").pivot == 0
