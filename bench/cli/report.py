"""``zobench report``: the page of a folder of records, or of several machines side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.cli import add_command, print_json, user_errors

EXAMPLES = """\
  zobench report zobench-results/2026-01-01T120000Z
  zobench report results/*/default --out comparison      several machines on one page
"""


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "report", __doc__, EXAMPLES)
    parser.add_argument("folder", type=Path, nargs="+", help="an output folder of the suite")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=Path("zobench-results/machines"),
        help="of the page on several machines; default: %(default)s",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write plots and report; print the report's path."""
    from bench.records.store import read_records
    from bench.report.machines import write_machines_page
    from bench.report.page import write_report

    with user_errors():
        for folder in arguments.folder:
            read_records(folder)
    if len(arguments.folder) == 1:
        path = write_report(arguments.folder[0])
    else:
        path = write_machines_page(arguments.folder, arguments.out)
    if arguments.json:
        print_json({"report": str(path)})
    else:
        print(path)
    return 0
