"""``zobench instruct``: one zeroth-order step a round against many, on a language model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.cli import add_command, print_json, status_console, user_errors
from bench.records.store import open_store

EXAMPLES = """\
  zobench instruct --data-dir natural-instructions --vocabulary vocab.json --merges merges.txt
                                                     about an hour on one core; again to go on
"""


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "instruct", __doc__, EXAMPLES)
    parser.add_argument("--data-dir", type=Path, required=True, help="of Natural Instructions")
    parser.add_argument("--vocabulary", type=Path, required=True, help="GPT-2's vocab.json")
    parser.add_argument("--merges", type=Path, required=True, help="GPT-2's merges.txt")
    parser.add_argument("--out", type=Path, default=Path("zobench-instruct"), metavar="DIR")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each variant; default 3")
    parser.add_argument("--rounds", type=int, default=40, help="of each run; default 40")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Go on with the study in the folder, to its end."""
    from bench.instruct.data import DataConfig, load_data
    from bench.instruct.record import write_study
    from bench.instruct.study import StudyConfig, study

    console = status_console(arguments)
    with user_errors():
        for name in ("seeds", "rounds"):
            if getattr(arguments, name) < 1:
                raise ValueError(f"--{name} must be >= 1, got {getattr(arguments, name)}")
        folder = open_store(arguments.out)
        data = load_data(arguments.data_dir, arguments.vocabulary, arguments.merges, DataConfig())
        config = StudyConfig(seeds=arguments.seeds, rounds=arguments.rounds)
        found = study(config, data, folder, lambda words: console.print(words, soft_wrap=True))
    written = [str(write_study(found, folder))]
    if arguments.json:
        print_json({"written": written})
    else:
        print("\n".join(f"written {path}" for path in written))
    return 0
