"""``zobench check``: validate records against their schema and list warnings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.cli import EXIT_DONE, EXIT_GATE, Group, add_command, print_json, user_errors

EXAMPLES = """\
  zobench check results/my-board               all records below a folder
  zobench check records/bytes-cnn-zo.json      one record
"""


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "check", __doc__, EXAMPLES, group=Group.RESULTS)
    parser.add_argument(
        "path", type=Path, nargs="+", metavar="PATH", help="record, or folder that contains records"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Validate and print; exit code 1 if a record is not valid."""
    from bench.records.store import check_records

    with user_errors():
        found = [checked for path in arguments.path for checked in check_records(path)]
    wrong = [checked for checked in found if checked.problems]
    if arguments.json:
        print_json([checked.to_json() for checked in found])
    else:
        _show(Console(highlight=False, markup=False, emoji=False, soft_wrap=True), found, arguments)
    return EXIT_GATE if wrong else EXIT_DONE


def _show(console: Console, found: list[Any], arguments: argparse.Namespace) -> None:
    for checked in found:
        for problem in checked.problems:
            console.print(f"{checked.path}: {problem}", markup=False)
        if arguments.verbose and not checked.problems:
            console.print(": ".join([f"{checked.path}: valid", *checked.remarks]), markup=False)
    if not (arguments.quiet or arguments.verbose):
        for remark, paths in _by_remark(found).items():
            console.print(f"note: {_which(paths)}: {remark}", markup=False)
    wrong = sum(bool(checked.problems) for checked in found)
    console.print(f"{len(found) - wrong} of {len(found)} records are valid")


def _by_remark(found: list[Any]) -> dict[str, list[Path]]:
    """Collect the records of each remark, so that one that fits many is printed once."""
    paths: dict[str, list[Path]] = {}
    for checked in found:
        for remark in checked.remarks:
            paths.setdefault(remark, []).append(checked.path)
    return paths


def _which(paths: list[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{len(paths)} records, {paths[0]} is the first"
