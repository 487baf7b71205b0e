"""The command ``zobench``: the suite, training here or over a network, what fits, records.

Exit codes: 0 done; 1 something measured or checked is not as it must be; 2 the user's mistake;
3 this machine lacks something.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence

from bench import SUITE_VERSION
from bench.cli import (
    EXIT_DONE,
    EXIT_ENVIRONMENT,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    MissingRequirementError,
    UsageError,
    check,
    compare,
    devices,
    export,
    fit,
    join,
    report,
    run,
    serve,
    share,
    train,
)
from bench.extras import missing_package
from bench.suite.foreign_settings import drop_foreign_settings, require_assertions
from devices.temporary import remove_left_overs
from zo_core.threads import wait_passively

COMMANDS = (run, train, fit, export, devices, report, check, compare, share, serve, join)


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command."""
    parser = argparse.ArgumentParser(
        prog="zobench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"zobench {SUITE_VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.register(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command.

    Args:
        argv: the command line's words; None for this process's own.

    Returns:
        The exit code.
    """
    if argv is None:
        require_assertions()
        # being asked to end is an interrupt: what is half done is cleaned up
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    drop_foreign_settings()
    wait_passively()
    arguments = build_parser().parse_args(argv)
    remove_left_overs()
    try:
        return int(arguments.run(arguments))
    except BrokenPipeError:  # who read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except UsageError as error:
        return _fail(error, EXIT_USAGE, arguments.verbose)
    except ModuleNotFoundError as error:
        lacking = MissingRequirementError(missing_package(error))
        return _fail(lacking, EXIT_ENVIRONMENT, arguments.verbose)
    except (MissingRequirementError, OSError) as error:
        return _fail(error, EXIT_ENVIRONMENT, arguments.verbose)
    except KeyboardInterrupt:
        print("zobench: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _fail(error: Exception, code: int, verbose: bool) -> int:
    if verbose:
        traceback.print_exc()
    print(f"zobench: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
