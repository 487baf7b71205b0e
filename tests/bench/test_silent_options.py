"""An option that would change nothing is refused; a trial without an answer is no success."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_fit import cell

from bench.__main__ import main
from bench.cli import EXIT_DONE, EXIT_GATE, EXIT_USAGE
from bench.suite.preflight import check_model
from bench.suite.suite import Suite


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "--data-dir", "."], "--data-dir has no effect on digits"),
        (["train", "--dataset", "synthetic", "--download"], "--download has no effect on synth"),
        (["train", "--no-verify"], "--no-verify has no effect on digits"),
        (["train", "--checkpoint-every", "5"], "--checkpoint-every has no effect without"),
        (["train", "--seeds", "5"], "--seeds has no effect without --task"),
        (["train", "--split", "10/90", "--high-share", "0.3"], "--split sets --high-share"),
        (["fit", "--grid", "--batches", "1"], "--batches has no effect with --grid"),
        (["fit", "--grid", "--images", "9"], "--images has no effect with --grid"),
        (["fit", "--grid", "--measure"], "--measure has no effect with --grid"),
        (["serve", "--data-dir", "."], "--data-dir has no effect on digits"),
        (["serve", "--broker", "127.0.0.1", "--listen", "0.0.0.0"], "--listen has no effect on"),
        (["join", "--backend", "torch", "--session", "speed"], "--session has no effect on"),
        (["join", "--backend", "torch", "--model", "here"], "--model has no effect on"),
        (["join", "--backend", "onnx", "--device", "cpu"], "--device has no effect on"),
        (["join", "--backend", "onnx", "--high-mib", "0"], "--high-mib has no effect on"),
    ],
)
def test_an_option_without_effect_is_a_usage_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == EXIT_USAGE
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


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
