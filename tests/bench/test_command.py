from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.records.store import read_records

REPOSITORY = Path(__file__).parents[2]

QUICK = ["--rounds", "2", "--pivot", "1", "--clients", "10", "--warmup-cohort", "2"]
QUICK += ["--zo-cohort", "10", "--eval-every", "1", "--split", "20/80", "--threads", "1"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "nonsense"], "model must be one of resnet18, vit, cnn, small_resnet"),
        (["--resume"], "--checkpoints DIR"),
        (["--dataset", "nonsense"], "known: digits"),
        (["--epsilon", "0"], "epsilon must be > 0"),
        (["--pivot", "9", "--rounds", "3"], "pivot must be in [0, 3]"),
        (["--split", "10-90"], "10/90"),
        (["--clients", "100000"], "clients"),
        (["--warmup-cohort", "60"], "warmup_cohort must be at most"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["train", *words, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["trian"], "train"),
        (["--verison"], "--version"),
        (["train", "--round", "3"], "--rounds"),
        (["export", "--modle=cnn"], "--model"),  # reported before what is missing
        (["train", "--algorithm", "zowarmpu"], "zowarmup"),
        (["join", "--device", "cdua"], "cuda"),
        (["run", "--scale", "lapptop"], "laptop"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_one_meant(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    error = capsys.readouterr().err
    assert (ended.value.code, error.count("\n")) == (2, 1)
    assert f"did you mean {meant}?" in error


def test_the_command_by_itself_prints_its_commands_by_group(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 0
    text = capsys.readouterr().out
    groups = ["Measure:", "run", "Train:", "serve", "Results:", "compare"]
    places = [text.index(f"\n{'' if word[-1] == ':' else '  '}{word}") for word in groups]
    assert places == sorted(places)


def test_one_command_is_parsed_without_loading_the_others() -> None:
    code = (
        "import sys; from bench.cli.commands import build_parser; "
        "build_parser('check').parse_args(['check', '.']); "
        "print(sorted(name for name in sys.modules if name.startswith('bench.cli.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "bench.cli.check" in done.stdout
    assert "bench.cli.train" not in done.stdout


def test_an_unknown_algorithm_is_answered_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", "--algorithm", "nonsense"])
    assert ended.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "'nonsense'" in error
    assert "zowarmup," in error


def test_an_unwritable_output_folder_stops_the_command_before_it_works(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["train", *QUICK, "--out", str(tmp_path / "file")]) == 2
    assert "--out" in capsys.readouterr().err


def test_train_leaves_a_record_with_accuracy_bytes_and_digest(tmp_path: Path) -> None:
    assert main(["train", *QUICK, "--out", str(tmp_path)]) == 0
    (record,) = read_records(tmp_path)
    assert record.status == "ok"
    assert 0 < record.metrics["test_accuracy"].value <= 1  # type: ignore[operator]
    assert len(record.details["digest"]) == 64
    assert record.details["rounds_done"] == 2


def test_a_resumed_run_ends_with_the_bits_of_one_that_never_stopped(tmp_path: Path) -> None:
    mode = ["--forward", "contiguous"]  # a trial of two runs may choose two modes
    quick = [*QUICK, *mode, "--rounds", "4"]
    saved = ["--checkpoints", str(tmp_path / "saved"), "--checkpoint-every", "1"]
    assert main(["train", *quick, "--out", str(tmp_path / "whole")]) == 0
    assert main(["train", *quick, *saved, "--out", str(tmp_path / "first")]) == 0
    assert main(["train", *quick, *saved, "--out", str(tmp_path / "again")]) == 2  # not replaced
    assert main(["train", *quick, *saved, "--resume", "--out", str(tmp_path / "resumed")]) == 0
    runs = [read_records(tmp_path / name)[0] for name in ("whole", "first", "resumed")]
    assert len({run.details["digest"] for run in runs}) == 1


def test_a_run_that_leaves_the_grid_is_the_record_diverged(tmp_path: Path) -> None:
    assert main(["train", *QUICK, "--zo-server-lr", "1e9", "--out", str(tmp_path)]) == 0
    (record,) = read_records(tmp_path)
    assert record.status == "diverged"
    assert record.error is not None
    assert "lower lr" in record.error


def test_run_hands_a_zero_over_to_be_refused_as_any_wrong_number(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words: list[str] = []
    monkeypatch.setattr(pytest, "main", lambda given, plugins: words.extend(given) or 4)
    given = ["--only", "table2", "--seeds", "0", "--workers", "0", "--minutes", "0"]
    assert main(["run", *given, "--out", str(tmp_path)]) == 2
    for option in ("--seeds", "--workers", "--minutes"):
        assert float(words[words.index(option) + 1]) == 0
    assert "--no-verify" not in words


def test_devices_prints_this_machine_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "--json"]) == 0
    profile = json.loads(capsys.readouterr().out)
    assert profile["arch"]
    assert main(["devices", "--catalogue", "--json"]) == 0
    both = json.loads(capsys.readouterr().out)
    assert both["catalogue"]["pi-zero-2"]["memory_bytes"] == 512 << 20
    assert profile.keys() == both.keys() - {"catalogue"}


def test_report_of_a_folder_without_records_says_what_to_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "zobench run" in capsys.readouterr().err


@pytest.mark.process
def test_the_module_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("zobench ")
