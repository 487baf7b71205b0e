"""zobench train as a user meets it: interruptions, mistakes, what a record holds."""

from __future__ import annotations

import json
import os
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench.__main__ import main
from bench.cli.train_progress import showing_progress, stopping_on_interrupt
from bench.records.store import read_records
from zo_core.algorithms import train_config
from zo_core.federation.record import TrainingRecord
from zo_core.federation.simulation.training import Training

QUICK = ["--rounds", "4", "--pivot", "2", "--clients", "10", "--warmup-cohort", "2"]
QUICK += [
    "--zo-cohort",
    "3",
    "--eval-every",
    "2",
    "--split",
    "20/80",
    "--directions",
    "1",
    "--threads",
    "1",
]
QUICK += ["--forward", "contiguous"]


def damaged_cifar10(folder: Path) -> list[str]:
    inner = folder / "cifar-10-batches-py"
    inner.mkdir()
    batch = pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1]})
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (inner / name).write_bytes(batch[:-9])
    return ["--dataset", "cifar10", "--data-dir", str(folder)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--split", "ten/ninety"], "split must be two percentages"),
        (["--split", "60/60"], "add up to 100"),
        (["--split", "10"], "for instance '10/90'"),
        (["--rounds", "3", "--pivot", "4"], "pivot must be in [0, 3], got 4"),
        (["--zo-cohort", "11"], "zo_cohort must be at most the number of clients, 10, got 11"),
        (["--warmup-cohort", "11"], "warmup_cohort must be at most the number of clients"),
        (["--alpha", "0"], "alpha must be > 0"),
        (["--alpha", "-1"], "alpha must be > 0"),
        (["--clients", "1500"], "clients must be at most the number of training samples, 14"),
        (["--batch-size", "0"], "batch_size must be >= 1, got 0"),
        (["--dataset", "cifar10"], "cifar10 needs a data folder"),
        (["--threads", "0"], "--threads must be in [1, 2^31), got 0; leave it out"),
        (["--threads", "9999999999"], "--threads must be in [1, 2^31)"),
    ],
)
def test_a_mistake_is_one_line_with_its_rule_and_exit_code_2(
    words: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["train", *QUICK, *words, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("verify", [[], ["--no-verify"]])
def test_a_damaged_data_file_is_a_mistake_too(
    verify: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*QUICK, *damaged_cifar10(tmp_path), *verify, "--out", str(tmp_path / "out")]
    assert main(["train", *words]) == 2
    error = capsys.readouterr().err
    assert "data_batch_1" in error
    assert "damaged" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_corrupt_checkpoint_is_refused_and_nothing_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved, out = tmp_path / "saved", tmp_path / "out"
    assert main(["train", *QUICK, "--checkpoints", str(saved), "--out", str(out)]) == 0
    (state,) = saved.glob("*.safetensors")
    body = bytearray(state.read_bytes())
    body[-1] ^= 1
    state.write_bytes(body)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    capsys.readouterr()
    words = [*QUICK, "--checkpoints", str(saved), "--resume", "--out", str(out)]
    assert main(["train", *words]) == 2
    error = capsys.readouterr().err
    assert "is damaged" in error
    assert error.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_ctrl_c_saves_says_how_to_go_on_and_the_rest_has_the_same_bits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a user who presses Ctrl-C in the middle of the third round
    prepare = Training.prepare

    def pressed(training: Training, round_index: int) -> None:
        if round_index == 2:
            os.kill(os.getpid(), signal.SIGINT)
        prepare(training, round_index)

    monkeypatch.setattr(Training, "prepare", pressed)
    words = ["train", *QUICK, "--checkpoints", str(tmp_path / "saved")]
    assert main([*words, "--out", str(tmp_path / "first")]) == 130
    told = capsys.readouterr().out
    assert "stopping after this round" in told
    assert "stopped after round 3 and saved" in told
    assert "--resume" in told
    assert not list((tmp_path / "first").rglob("*.json"))
    # WHEN the run goes on, THEN it ends as one that was left alone
    monkeypatch.setattr(Training, "prepare", prepare)
    assert main([*words, "--resume", "--out", str(tmp_path / "rest")]) == 0
    assert main(["train", *QUICK, "--out", str(tmp_path / "whole")]) == 0
    rest, whole = (read_records(tmp_path / name)[0] for name in ("rest", "whole"))
    assert rest.details["digest"] == whole.details["digest"]
    assert rest.details["passes_by_method"] == whole.details["passes_by_method"]


def test_a_second_ctrl_c_ends_at_once_and_the_handler_is_put_back() -> None:
    def press_twice() -> None:
        with stopping_on_interrupt(lambda text: None) as stop:
            assert not stop()
            os.kill(os.getpid(), signal.SIGINT)
            assert stop()
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        press_twice()
    assert signal.getsignal(signal.SIGINT) is before


def test_without_a_terminal_a_line_comes_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter([0.0, 1.0, 16.0, 17.0, 40.0])
    monkeypatch.setattr("bench.cli.train_progress.time.monotonic", lambda: next(times))
    config = train_config(rounds=100, pivot=10)
    record = TrainingRecord(config=config, high=(0,), up_payload_bytes=2_500_000)
    with showing_progress(Console(soft_wrap=True), 100) as show:
        for done in (1, 2, 3, 4):
            record.rounds_done = done
            show(record)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "zowarmup, round 2, 2.5 MB transferred, about 784 s left",  # 16 s for 2 rounds
        "zowarmup, round 4, 2.5 MB transferred, about 1152 s left",  # 24 s for 2 rounds
    ]


def test_a_record_holds_what_the_run_cost(tmp_path: Path) -> None:
    assert main(["train", *QUICK, "--out", str(tmp_path)]) == 0
    (record,) = read_records(tmp_path)
    shares = ("test_accuracy", "high_accuracy", "low_accuracy", "worst_decile_accuracy")
    names = [f"{link}_{level}_bytes" for link in ("up", "down") for level in ("scalar", "payload")]
    costs = (*names, "forward_items", "backward_items", "elapsed_s")
    assert all(0 <= record.metrics[name].value <= 1 for name in shares)  # type: ignore[operator]
    assert all(record.metrics[name].value > 0 for name in costs)  # type: ignore[operator]
    peak = record.metrics["peak_above_baseline"]  # null where this process keeps freed memory
    assert peak.reason if peak.value is None else peak.value > 0
    assert record.metrics["message_bytes"].reason
    assert len(record.config_hash) == 16
    assert set(record.details["seconds_by_method"]) == set(record.details["passes_by_method"])
    json.dumps(record.to_json(), allow_nan=False)


SHORT = ["train", *QUICK, "--rounds", "1", "--pivot", "1", "--eval-every", "1"]


def test_every_training_keeps_its_record_without_an_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main([*SHORT, "--client-lr", "0.1"]) == 0
    assert main([*SHORT, "--client-lr", "0.2"]) == 0
    folders = [path.parent.parent for path in tmp_path.glob("zobench-results/*/records/*.json")]
    assert len(set(folders)) == 3
    rates = [record.config["client_lr"] for f in folders for record in read_records(f)]
    assert sorted(rates) == [0.1, 0.1, 0.2]


def test_a_folder_takes_other_seeds_and_splits_and_never_replaces_a_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SHORT, "--out", str(tmp_path)]
    assert main(words) == 0
    assert main([*words, "--run-seed", "3"]) == 0
    assert main([*words, "--split", "30/70"]) == 0
    names = ["20-80/seed-0", "20-80/seed-3", "30-70/seed-0"]
    assert [r.case for r in read_records(tmp_path)] == [
        f"train/zowarmup-digits-cnn/{n}" for n in names
    ]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    capsys.readouterr()
    assert main([*words, "--client-lr", "0.2"]) == 2
    error = capsys.readouterr().err
    assert "--out must not contain a record of train/zowarmup-digits-cnn/20-80/seed-0" in error
    assert "choose another folder" in error
    assert error.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before
