"""``zobench run``: run the benchmark suite on this machine and write a report.

The same as ``pytest --benchmark``.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from bench.cli import (
    EXIT_DONE,
    EXIT_ENVIRONMENT,
    EXIT_GATE,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    Group,
    add_command,
    print_json,
)
from bench.groups import GROUPS, OPT_IN_GROUPS, SCALE_NAMES, TABLES
from bench.records.store import RECORDS, read_records
from bench.replication.table_run import NAMES
from bench.suite.foreign_settings import own_pytest
from bench.suite.suite import new_folder
from bench.suite.table_options import TABLE_OPTIONS, option_of

EXAMPLES = """\
  zobench run                           everything at the default scale, about five minutes
  zobench run --scale smoke             the quickest look
  zobench run --only memory,formulas    a part of it
  zobench run --only table2 --out tables        a table of the paper; run again, it goes on
  zobench run --model my.models:tiny --input-shape 3,32,32     your own model
"""
# pytest's exit codes; what is not here went wrong inside of pytest.
_EXITS = {0: EXIT_DONE, 1: EXIT_GATE, 2: EXIT_INTERRUPTED, 4: EXIT_USAGE, 5: EXIT_USAGE}


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "run", __doc__, EXAMPLES, group=Group.MEASURE)
    parser.add_argument("--scale", default="default", help=f"one of {', '.join(SCALE_NAMES)}")
    groups = f"comma-separated: {', '.join((*GROUPS, *OPT_IN_GROUPS))}"
    tables = f"tables of the paper: {TABLES} or {', '.join(NAMES)}"
    parser.add_argument("--only", metavar="GROUPS", help=f"{groups}; {tables}")
    parser.add_argument("--out", metavar="DIR", help="default: zobench-results/<time>")
    parser.add_argument(
        "--model", help="in place of the scale's: NAME, torchvision:NAME, or package.module:factory"
    )
    parser.add_argument("--input-shape", metavar="SHAPE", help="of --model, e.g. 3,224,224")
    parser.add_argument("--device", help="where steps run: auto, cpu (default) or cuda")
    parser.add_argument(
        "--energy-csv", metavar="FILE", help="an external power meter's log: time and watts a row"
    )
    of_tables = parser.add_argument_group("tables of the paper")
    for name, (kind, text) in TABLE_OPTIONS.items():
        of_tables.add_argument(f"--{name}", help=text, **option_of(kind))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Hand over to pytest; its own output goes to stderr where the result is JSON."""
    folder = Path(arguments.out) if arguments.out else new_folder()
    with contextlib.redirect_stdout(sys.stderr) if arguments.json else contextlib.nullcontext():
        code = _run_pytest(_words(arguments, folder))
    if arguments.json and (folder / RECORDS).exists():
        print_json(_result(folder))
    return _EXITS.get(code, EXIT_ENVIRONMENT)


def _run_pytest(words: list[str]) -> int:
    import pytest

    with own_pytest() as settings:
        return int(pytest.main([*settings, *words]))


def _words(arguments: argparse.Namespace, folder: Path) -> list[str]:
    words = ["--benchmark", "--scale", arguments.scale, "--out", str(folder)]
    for option in ("only", "model", "input-shape", "device", "energy-csv", *TABLE_OPTIONS):
        value = getattr(arguments, option.replace("-", "_"))
        if value is True:
            words += [f"--{option}"]
        elif value is not None and value is not False:  # a 0 is for the suite to refuse
            words += [f"--{option}", str(value)]
    return words + ["-q"] * arguments.quiet + ["-v"] * arguments.verbose


def _result(folder: Path) -> dict[str, Any]:
    records = read_records(folder) if any((folder / RECORDS).iterdir()) else []
    return {
        "folder": str(folder),
        "report": str(folder / "report.html") if records else None,
        "cases": {record.case: record.status for record in records},
    }
