"""The command ``zobench``: parse the command line, run one command, turn errors into exit codes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence

from bench.cli import (
    EXIT_DONE,
    EXIT_ENVIRONMENT,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    MissingRequirementError,
    UsageError,
)
from bench.cli.commands import build_parser
from bench.extras import missing_package
from bench.suite.foreign_settings import drop_foreign_settings, require_assertions
from devices.temporary import remove_left_overs
from zo_core.threads import wait_passively


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command; without any, print the help.

    Args:
        argv: the words of the command line; None for those of this process.

    Returns:
        The exit code.
    """
    if argv is None:
        require_assertions()
        # handle SIGTERM as an interrupt, so that unfinished work is cleaned up
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    drop_foreign_settings()
    wait_passively()
    words = sys.argv[1:] if argv is None else list(argv)
    if not words:
        build_parser().print_help()
        return EXIT_DONE
    arguments = build_parser(words[0]).parse_args(words)
    remove_left_overs()
    return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    """Run a command; report its errors in one line each."""
    try:
        return int(arguments.run(arguments))
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
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
