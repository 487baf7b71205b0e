"""``zobench report``: write the report of a folder of records anew."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.commands import user_errors


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = commands.add_parser(
        "report",
        help="write the report of a folder of records",
        description=__doc__,
        epilog="example:\n  zobench report zobench-results/2026-01-01T120000Z",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="an output folder of the suite")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write plots and report; print the report's path."""
    from bench.report import write_report
    from bench.store import read_records

    with user_errors():
        read_records(arguments.folder)
    print(write_report(arguments.folder))
    return 0
