"""``zobench report``: rebuild reports from records; list and compare several machines."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.cli import Group, add_command, print_json, refuse_unused, user_errors
from bench.cli.open_page import add_open_option, open_page

EXAMPLES = """\
  zobench report zobench-results/2026-01-01T120000Z
  zobench report --all results --out pages               all reports below a folder
  zobench report results/*/default --out comparison      several machines, with an index
"""


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "report", __doc__, EXAMPLES, group=Group.RESULTS)
    parser.add_argument(
        "folder", type=Path, nargs="+", metavar="DIR", help="output folder of `zobench run`"
    )
    parser.add_argument(
        "--all", action="store_true", help="rebuild the report of every folder of records below"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the pages; default: that of the records, pages with --all, or"
        " zobench-results/machines for several machines",
    )
    parser.add_argument(
        "--name",
        help="machine in the title of the report; default: its chip, cores and memory",
    )
    add_open_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write plots and reports, and print their paths."""
    from bench.records.store import read_records
    from bench.report.page import write_report
    from bench.report.pages import folders_below, write_comparison, write_reports

    folders = arguments.folder
    with user_errors():
        if arguments.all or len(folders) > 1:
            refuse_unused(arguments, ["name"], "with several reports")
        for folder in folders:
            folders_below(folder) if arguments.all else read_records(folder)
    if arguments.all:
        paths = write_reports(folders, arguments.out or Path("pages"))
    elif len(folders) == 1:
        paths = [write_report(folders[0], arguments.out, arguments.name)]
    else:
        out = arguments.out or Path("zobench-results") / "machines"
        paths = write_comparison(folders, out)
    open_page(arguments, paths[-1])
    if arguments.json:
        print_json({"reports": list(map(str, paths))})
    else:
        print(*paths, sep="\n")
    return 0
