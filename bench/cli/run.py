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
    refuse_unused,
    user_errors,
)
from bench.cli.open_page import add_open_option, open_page
from bench.cli.run_plan import run_pytest, show_choices, show_plan
from bench.groups import GROUPS, SCALE_NAMES
from bench.records.store import RECORDS, read_records
from bench.suite.folder import new_folder
from bench.suite.preflight import DEVICE_TYPES
from bench.suite.table_options import TABLE_OPTIONS, option_of
from zo_core.config import PRECISIONS

EXAMPLES = """\
  zobench run                              all groups at the default scale, about 5 minutes
  zobench run --dry-run                    list the cases, with an estimate of the time
  zobench run --scale smoke                the smallest scale
  zobench run --only memory,formulas       two groups
  zobench run --only table2 --out tables   a table of the paper; run again to continue
  zobench run --model my.models:tiny --input-shape 3,32,32    your own model
"""
SCALE_DEFAULT = "default"
_OF_LIST = {"command", "run", "list", "json", "quiet", "verbose"}
# pytest's exit codes; all others are internal errors of pytest
_EXITS = {0: EXIT_DONE, 1: EXIT_GATE, 2: EXIT_INTERRUPTED, 4: EXIT_USAGE, 5: EXIT_USAGE}


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "run", __doc__, EXAMPLES, group=Group.MEASURE)
    parser.add_argument(
        "--scale",
        choices=SCALE_NAMES,
        default=SCALE_DEFAULT,
        help="number of cases and repeats; default: default",
    )
    parser.add_argument(
        "--only",
        metavar="LIST",
        help="groups and tables of the paper to run, comma-separated, see --list; default: "
        f"{','.join(GROUPS)}",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="output folder; default: zobench-results/<time>"
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="model to measure: NAME, torchvision:NAME, timm:NAME, hf:FOLDER or"
        " package.module:factory; default: those of the scale",
    )
    parser.add_argument(
        "--input-shape",
        metavar="SHAPE",
        help="shape of one input of --model, e.g. 3,224,224; default: the model's own",
    )
    parser.add_argument(
        "--device",
        choices=DEVICE_TYPES,
        help="device that runs the steps; auto: cuda if available; default: cpu",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="compute dtype of steps and of trainings on the digits; default: fp32",
    )
    parser.add_argument(
        "--energy-csv",
        metavar="FILE",
        help="log of an external power meter, time and watts per row; default: own sensors",
    )
    parser.add_argument("--list", action="store_true", help="list scales, groups and tables")
    parser.add_argument(
        "--dry-run", action="store_true", help="list the cases and estimate the time, run nothing"
    )
    add_open_option(parser)
    of_tables = parser.add_argument_group("tables of the paper")
    for name, (kind, text) in TABLE_OPTIONS.items():
        of_tables.add_argument(f"--{name}", help=text, **option_of(kind))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the suite by pytest, whose own output goes to stderr if the result is JSON."""
    with user_errors():
        _refuse_unused(arguments)
    if arguments.list:
        return show_choices(arguments)
    if arguments.dry_run:
        return show_plan(arguments, _words)
    folder = Path(arguments.out) if arguments.out else new_folder()
    with contextlib.redirect_stdout(sys.stderr) if arguments.json else contextlib.nullcontext():
        code = run_pytest(_words(arguments, folder))
    open_page(arguments, folder / "report.html")
    if arguments.json and (folder / RECORDS).exists():
        print_json(_result(folder))
    return _EXITS.get(code, EXIT_ENVIRONMENT)


def _refuse_unused(arguments: argparse.Namespace) -> None:
    if arguments.list:
        others = vars(arguments).keys() - _OF_LIST
        defaults = {"scale": SCALE_DEFAULT}
        refuse_unused(arguments, sorted(others), "with --list, which runs nothing", defaults)
    if arguments.dry_run:
        refuse_unused(arguments, ["open", "out"], "with --dry-run, which runs nothing")


def _words(arguments: argparse.Namespace, folder: Path) -> list[str]:
    words = ["--benchmark", "--scale", arguments.scale, "--out", str(folder)]
    for option in (
        "only",
        "model",
        "input-shape",
        "device",
        "precision",
        "energy-csv",
        *TABLE_OPTIONS,
    ):
        value = getattr(arguments, option.replace("-", "_"))
        if value is True:
            words += [f"--{option}"]
        elif value is not None and value is not False:  # the suite refuses a 0
            words += [f"--{option}", str(value)]
    return words + ["-q"] * arguments.quiet + ["-v"] * arguments.verbose


def _result(folder: Path) -> dict[str, Any]:
    records = read_records(folder) if any((folder / RECORDS).iterdir()) else []
    return {
        "folder": str(folder),
        "report": str(folder / "report.html") if records else None,
        "cases": {record.case: record.status for record in records},
    }
