"""``zobench share``: check a folder of records, pack it, and print how to send it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.cli import EXIT_DONE, Group, add_command, print_json, user_errors

EXAMPLES = """\
  zobench share zobench-results/2026-01-01T120000Z
  zobench share results/my-board/laptop --out my-board.zip
"""


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "share", __doc__, EXAMPLES, group=Group.RESULTS)
    parser.add_argument("folder", type=Path, metavar="DIR", help="output folder of a run")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="ZIP file to write; default: zobench-MACHINE-SCALE.zip in the current folder",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Pack the records; print what the file contains and how to send it."""
    from bench.records.pack import pack_records

    with user_errors():
        pack = pack_records(arguments.folder, arguments.out)
    if arguments.json:
        print_json({"file": str(pack.path), "records": pack.records, "folder": pack.folder})
        return EXIT_DONE
    print(pack.path)
    if arguments.quiet:
        return EXIT_DONE
    print(
        f"\n{pack.records} valid records. They contain the run's settings and the machine's profile"
        f" (host name {pack.host_name}, system, library versions), but no training data."
    )
    if pack.uncommitted:
        print(
            f"{pack.uncommitted} come from a checkout with uncommitted changes; run from a clean"
            " checkout if you can."
        )
    print(
        "\nTo send it, do one of these:\n"
        f"  attach {pack.path.name} to an issue of the zobench repository\n"
        f"  open a pull request: unpack it below results/ (it makes results/{pack.folder})"
    )
    return EXIT_DONE
