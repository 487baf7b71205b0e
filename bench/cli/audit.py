"""``zobench audit``: check any implementation's zeroth-order step against twelve rules.

The factory is a function (seed, lr) that returns bench.audit.AuditCase(module, step, loss), or a
pair (module, step). The step can be of any package; it is watched from outside.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from typing import Any

from rich.console import Console

from bench.cli import EXIT_DONE, EXIT_GATE, Group, add_command, print_json, user_errors

EXAMPLES = """\
  zobench audit my_package.my_module:factory
  zobench audit my_module:factory --seed 7 --lr 1e-2
  zobench audit my_module:factory --json > audit.json
"""


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "audit", __doc__, EXAMPLES, group=Group.MEASURE)
    parser.add_argument(
        "factory",
        metavar="package.module:factory",
        help="function to audit; the current folder can be imported from",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the directions; default: 0"
    )
    parser.add_argument(
        "--lr",
        type=float,
        metavar="NUMBER",
        help="learning rate of the audited step; default: from 1e-3 up, until the update is"
        " larger than rounding",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Audit and print; exit code 1 if a check fails."""
    with user_errors(), redirect_stdout(sys.stderr):  # what the audited code prints
        from bench.audit import audit
        from bench.audit.table import report_table

        report = audit(arguments.factory, seed=arguments.seed, lr=arguments.lr)
    console = Console(highlight=False, markup=False, emoji=False)
    if arguments.json:
        print_json(report.to_json())
    else:
        if not arguments.quiet:
            console.print(report_table(report))
        console.print(report.summary(), soft_wrap=True)
    return EXIT_DONE if report.passes else EXIT_GATE
