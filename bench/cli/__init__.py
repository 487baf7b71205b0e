"""The sub-commands of ``zobench``, one per file: each has ``register``, which adds its parser."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bench.cli.parser import EXIT_USAGE as EXIT_USAGE
from bench.cli.parser import CommandParser as CommandParser
from bench.cli.parser import Group as Group
from bench.extras import missing_package

if TYPE_CHECKING:
    from rich.console import Console

EXIT_DONE = 0
EXIT_GATE = 1  # it ran, and a check or a threshold failed
EXIT_ENVIRONMENT = 3
EXIT_INTERRUPTED = 130  # as shells do: 128 + SIGINT


class UsageError(Exception):
    """The user's mistake; the message names the argument, value, rule and fix."""


class MissingRequirementError(Exception):
    """Something is not installed or available; the message names it and the fix."""


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what bad arguments raise into a UsageError; wrap the checks, never the work."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingRequirementError(missing_package(error)) from error
    except ImportError as error:
        raise MissingRequirementError(str(error)) from error
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error


def refuse_unused(
    arguments: argparse.Namespace,
    names: Iterable[str],
    because: str,
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Refuse options that were given and would change nothing.

    Args:
        arguments: parsed.
        names: of the options, as attributes.
        because: ends the sentence "--x has no effect ...".
        defaults: values by which an option was not given, besides None and False.

    Raises:
        ValueError: one was given.
    """
    if unused := unused_options(arguments, names, because, defaults):
        raise ValueError(f"{unused[0]}; leave it out")


def unused_options(
    arguments: argparse.Namespace,
    names: Iterable[str],
    because: str,
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> list[str]:
    """List options that were given and change nothing, as :func:`refuse_unused` refuses them."""
    values = {name: getattr(arguments, name) for name in names}
    return [
        f"--{name.replace('_', '-')} has no effect {because}"
        for name, value in values.items()
        if value is not None and value is not False and value != defaults.get(name)
    ]


def add_command(
    commands: Any, name: str, doc: str | None, examples: str, *, group: Group
) -> CommandParser:
    """Add a sub-command's parser, with the options that all of them have.

    Args:
        commands: what ``add_subparsers`` returned.
        name: the word after ``zobench``.
        doc: its module's docstring, "``zobench name``: verb ..."; its help.
        examples: command lines, one per line, each with what it does.
        group: the heading of ``zobench --help`` under which it stands.
    """
    about = (doc or "").partition(": ")[2].strip().replace("``", "`")
    parser: CommandParser = commands.add_parser(
        name,
        help=about.splitlines()[0].rstrip("."),
        description=about[:1].upper() + about[1:],
        epilog=f"examples:\n{examples}",
        group=group,
    )
    talk = parser.add_argument_group("output")
    talk.add_argument(
        "--json", action="store_true", help="print the result as JSON, everything else to stderr"
    )
    amount = talk.add_mutually_exclusive_group()
    amount.add_argument("-q", "--quiet", action="store_true", help="print the result only")
    amount.add_argument(
        "-v", "--verbose", action="store_true", help="print more; errors with traceback"
    )
    return parser


def status_console(arguments: argparse.Namespace) -> Console:
    """Make the console for what is not the result: progress, remarks, where files are."""
    from rich.console import Console

    return Console(
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
        stderr=arguments.json,
        quiet=arguments.quiet,
    )


def print_json(data: Any) -> None:
    """Print a result for machines."""
    print(json.dumps(data, indent=1, allow_nan=False))
