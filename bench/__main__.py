"""The command ``zobench``: the suite, one training run, what fits, this device, a report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bench import SUITE_VERSION
from bench.commands import UsageError, devices, fit, report, run, train

EXIT_USAGE = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command.

    Args:
        argv: the command line's words; None for this process's own.

    Returns:
        0: done; 1: a case failed; 2: the user's mistake, told in one line.
    """
    parser = argparse.ArgumentParser(prog="zobench", description=__doc__)
    parser.add_argument("--version", action="version", version=f"zobench {SUITE_VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (run, train, fit, devices, report):
        command.register(commands)
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except UsageError as error:
        print(f"zobench: {error}", file=sys.stderr)
        return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
