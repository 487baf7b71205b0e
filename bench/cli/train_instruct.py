"""``zobench train --task instruct``: the study of fine-tuning a small language model."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from bench.cli import EXIT_DONE, print_json, status_console, user_errors
from bench.cli.config_options import given_options
from bench.records.store import open_store

_FOLDER = Path("zobench-instruct")
_DEFAULTS = {  # options that the study does not take, where they were not given
    **{"forward": "auto", "device": "cpu", "threads": None},
    **{"download": False, "no_verify": False, "resume": False, "dry_run": False},
    **{"checkpoints": None, "checkpoint_every": None},
}


def run_instruct(arguments: argparse.Namespace) -> int:
    """Run the study in the folder, or continue it, to its end."""
    console = status_console(arguments)
    with user_errors():
        _refuse_others(arguments)
        run = _prepared(arguments)
    written = str(run(lambda text: console.print(text, soft_wrap=True)))
    if arguments.json:
        print_json({"written": [written]})
    else:
        print(f"written {written}")
    return EXIT_DONE


def _refuse_others(arguments: argparse.Namespace) -> None:
    values = given_options(arguments) | {name: getattr(arguments, name) for name in _DEFAULTS}
    values.pop("rounds", None)
    given = [name for name, value in values.items() if value != _DEFAULTS.get(name)]
    if given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ValueError(f"{names} must be left out with --task instruct, which sets its own")
    if arguments.seeds is not None and arguments.seeds < 1:
        raise ValueError(f"--seeds must be >= 1, got {arguments.seeds}")


def _prepared(arguments: argparse.Namespace) -> Callable[[Callable[[str], None]], Path]:
    """Check the data and the folder; return what runs the study."""
    from bench.instruct.run import run_study
    from bench.instruct.study import StudyConfig
    from zo_core.data import load_dataset

    dataset = load_dataset("instructions", data_dir=arguments.data_dir)
    rounds = {} if arguments.rounds is None else {"rounds": arguments.rounds}
    seeds = {} if arguments.seeds is None else {"seeds": arguments.seeds}
    config = StudyConfig(**seeds, **rounds)
    folder = open_store(arguments.out or _FOLDER)

    data_dir: Path = arguments.data_dir
    return lambda log: run_study(config, dataset, folder, data_dir=data_dir, log=log)
