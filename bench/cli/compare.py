"""``zobench compare``: compare two runs against per-metric thresholds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.cli import (
    EXIT_DONE,
    EXIT_GATE,
    Group,
    add_command,
    print_json,
    refuse_unused,
    user_errors,
)

EXAMPLES = """\
  zobench compare results/xeon-2core/default zobench-results/2026-01-01T120000Z
  zobench compare base head --markdown >> "$GITHUB_STEP_SUMMARY"
  zobench compare base head --verbose     all figures, also those within their threshold
"""


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "compare", __doc__, EXAMPLES, group=Group.RESULTS)
    parser.add_argument("old", type=Path, metavar="OLD", help="output folder of the baseline")
    parser.add_argument("new", type=Path, metavar="NEW", help="output folder of the run to compare")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table for GitHub")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare and print; exit code 1 if a threshold is exceeded."""
    from bench.compare.compare import compare
    from bench.compare.table import markdown_table, terminal_table, verdict_line
    from bench.records.store import read_records

    with user_errors():
        if arguments.json:
            refuse_unused(arguments, ["markdown"], "with --json")
        _check_folder("OLD", arguments.old)
        _check_folder("NEW", arguments.new)
        found = compare(read_records(arguments.old), read_records(arguments.new))
    if arguments.json:
        print_json(found.to_json())
    elif arguments.markdown:
        print(markdown_table(found, everything=arguments.verbose))
    elif arguments.quiet:
        print(verdict_line(found))
    else:
        Console(highlight=False, markup=False, emoji=False).print(
            terminal_table(found, everything=arguments.verbose)
        )
    return EXIT_DONE if found.passes else EXIT_GATE


def _check_folder(name: str, folder: Path) -> None:
    from bench.records.store import RECORDS

    if not (folder / RECORDS).is_dir():
        raise ValueError(
            f"{name} must be an output folder of `zobench run`, got '{folder}'; to compare two"
            " commits, run the suite at each with --out and compare the two folders, see"
            " docs/compare.md"
        )
