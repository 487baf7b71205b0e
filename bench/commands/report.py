"""``zobench report``: write the report of a folder of records anew."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.commands import add_command, print_json, user_errors

EXAMPLES = """\
  zobench report zobench-results/2026-01-01T120000Z
"""


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "report", __doc__, EXAMPLES)
    parser.add_argument("folder", type=Path, help="an output folder of the suite")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write plots and report; print the report's path."""
    from bench.report import write_report
    from bench.store import read_records

    with user_errors():
        read_records(arguments.folder)
    path = write_report(arguments.folder)
    if arguments.json:
        print_json({"report": str(path)})
    else:
        print(path)
    return 0
