"""Every option of every command is accounted for: it always has an effect, or one line says not."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import pytest

from bench.__main__ import build_parser, main
from bench.cli import EXIT_USAGE
from bench.cli.config_options import chosen_config
from bench.cli.link_options import unused_on_link
from bench.cli.no_effect import rules_without_effect
from zo_core.algorithms.configs import SHARED, option_groups
from zo_core.federation.protocol.plan import Rules
from zo_core.federation.round_schedule import Schedule

# Options of a training: test_training_options.py tries each of them with each method.
OF_TRAININGS = {*SHARED, *(field.name for group in option_groups() for field in group.options)}
OUTPUT = {"json", "quiet", "verbose"}
# Options that change something whatever else is given.
ALWAYS: dict[str, set[str]] = {
    "audit": {"factory", "seed", "lr"},
    "check": {"path"},
    "compare": {"old", "new"},
    "devices": {"check", "root"},
    "export": {"model", "input_shape", "out", "plain"},
    "fit": {"device", "reserve", "model", "out", "grid"},
    "join": {"broker", "name", "slot", "backend", "data", "imports", "threads", "patience"}
    | {"port", "topic", "ca", "username"},
    "plan": {"device", "model", "input_shape", "items", "link", "rounds", "to", "clients"}
    | {"split", "warmup_cohort", "micro_batch"},
    "replay": {"base", "log", "out", "steps"},
    "report": {"folder", "all", "out", "open"},
    "run": {"list"},
    "serve": {"config", "dir", "broker", "threads", "quorum", "chunk_kib", "wait_for"}
    | {"port", "topic", "ca", "split"},
    "share": {"folder", "out"},
    "train": {"config", "task", "device", "threads", "checkpoints", "dry_run", "out"} | {"split"},
}
PLAN = "plan --model cnn --items 20 --rounds 9"
GRID = "fit --grid"
BYTES = "run --only bytes"
# For each other option, a command line in which it would change nothing.
REFUSED: dict[str, tuple[str, ...]] = {
    "compare": ("compare a b --json --markdown",),
    "devices": ("devices --check --catalogue",),
    "fit": (
        *(f"{GRID} --batches 1", f"{GRID} --images 9", f"{GRID} --measure"),
        *("fit --input-shape 3,32,32",),
    ),
    "join": (
        *("join --backend torch --model here", "join --backend torch --session speed"),
        *("join --backend onnx --device cpu", "join --backend onnx --high-mib 0"),
        *("join --backend onnx --data-dir .", "join --password-file a"),
        *("join --certificate a", "join --ca a --key b"),
    ),
    "plan": (
        *(f"{PLAN} --records .", f"{PLAN} --trained ."),
        "plan --model cnn --items 20 --to 0.9 --pivot 2",
    ),
    "report": ("report a b --name mine",),
    "run": (
        *("run --list --scale smoke", "run --list --only time", "run --list --dry-run"),
        *("run --dry-run --out a", "run --dry-run --open"),
        *(f"{BYTES} --energy-csv a", f"{BYTES} --precision tf32"),
        *("run --only engine --model cnn", "run --only table7 --scale smoke --input-shape 3,8,8"),
        *(f"{BYTES} --{option}" for option in ("seeds 2", "workers 1", "minutes 5")),
        *(f"{BYTES} --{option}" for option in ("per-process 2", "data-dir .", "no-verify")),
        *(f"{BYTES} --{option}" for option in ("dataset digits", "criterion mse", "init a")),
        *(f"{BYTES} --rows zowarmup", f"{BYTES} --splits 10/90"),
        *(f"{BYTES} --engine ray", f"{BYTES} --address auto"),
        *("run --only search --scale smoke --seeds 2",),
    ),
    "serve": (
        *("serve --data-dir .", "serve --broker 127.0.0.1 --listen 0.0.0.0"),
        *("serve --broker 127.0.0.1 --passwords a", "serve --split 1/9 --high-share 0.3"),
        *("serve --certificate a", "serve --key a", "serve --password-file a"),
        *("serve --username a",),
    ),
    "train": (
        *("train --data-dir .", "train --download", "train --no-verify", "train --resume"),
        *("train --checkpoint-every 5", "train --seeds 5", "train --split 1/9 --high-share 0.3"),
        *("train --dry-run --seeds 5", "train --task instruct --download"),
    ),
}
# Options about which a line is printed, tested below.
NAMED = {
    "join": {"insecure"},
    "run": {"device"},  # refused like --precision, but only where there is a GPU
    "serve": {"insecure", "deadline", "warmup_deadline", "clip", "keep_rounds"},
}


TRAINS = ("serve", "train")


def commands() -> dict[str, argparse.ArgumentParser]:
    actions = build_parser()._actions
    return next(a.choices for a in actions if isinstance(a, argparse._SubParsersAction))


def own(command: str, names: Iterable[str]) -> set[str]:
    """Leave out what all commands have, and the options of trainings."""
    return set(names) - OUTPUT - {"help"} - (OF_TRAININGS if command in TRAINS else set())


def option_in(line: str) -> str:
    """Return the option that a line is about: its last."""
    return [word for word in line.split() if word.startswith("--")][-1]


def test_every_command_is_accounted_for() -> None:
    assert set(commands()) == set(ALWAYS)


@pytest.mark.parametrize("command", ALWAYS)
def test_every_option_is_accounted_for(command: str) -> None:
    refused = {option_in(line)[2:].replace("-", "_") for line in REFUSED.get(command, ())}
    listed = own(command, (action.dest for action in commands()[command]._actions))
    assert own(command, refused) | NAMED.get(command, set()) == listed - ALWAYS[command]
    assert listed >= ALWAYS[command]


@pytest.mark.parametrize("line", [line for lines in REFUSED.values() for line in lines])
def test_an_option_without_effect_is_a_usage_error(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == EXIT_USAGE
    error = capfd.readouterr().err.strip()
    assert option_in(line) in error
    assert error.count("\n") == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("command", ALWAYS)
def test_more_and_less_output_exclude_each_other(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "-q", "-v"])
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("host", "words", "named"),
    [
        ("127.0.0.1", ["--insecure"], True),
        ("192.0.2.1", ["--insecure"], False),
        ("192.0.2.1", ["--insecure", "--ca", "a"], True),
        ("127.0.0.1", [], False),
    ],
)
def test_insecure_is_named_where_nothing_is(host: str, words: list[str], named: bool) -> None:
    arguments = build_parser("join").parse_args(["join", *words])
    assert bool(unused_on_link(arguments, host)) is named


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--algorithm", "mezo", "--warmup-deadline", "5"], ["--warmup-deadline"]),
        (["--pivot", "0", "--warmup-deadline", "5"], ["--warmup-deadline"]),
        (["--algorithm", "fedavg", "--deadline", "5", "--clip", "2"], ["--deadline", "--clip"]),
        (["--algorithm", "fedavg", "--keep-rounds"], ["--keep-rounds"]),
        (["--deadline", "5", "--clip", "2", "--warmup-deadline", "5", "--keep-rounds"], []),
        (["--algorithm", "fedavg"], []),
    ],
)
def test_rules_of_rounds_that_a_run_has_not_are_named(words: list[str], named: list[str]) -> None:
    arguments = build_parser("serve").parse_args(["serve", *words])
    phases = Schedule(chosen_config(arguments, run_seed=1, warmup_cohort=2)).algorithm.phases
    found = rules_without_effect(arguments, Rules(), phases)
    assert [line.split()[0] for line in found] == named


def test_a_server_does_not_wait_for_more_clients_than_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["serve", "--clients", "4", "--wait-for", "5"]) == EXIT_USAGE
    assert "--wait-for" in capsys.readouterr().err
