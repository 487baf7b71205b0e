"""Options of a method of the user's own, which are known once the command line names it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from bench.cli.config_file import algorithm_in_file
from bench.cli.parser import CommandParser
from zo_core.algorithms.registry import ALGORITHMS, row_of
from zo_core.import_by_name import is_own


def add_when_named(parser: CommandParser, add_options: Callable[[str], None]) -> None:
    """Add the options of the method that ``--algorithm package.module:function`` names.

    They are added as the parser starts to read the command line, so that ``--help`` lists them.

    Args:
        parser: of a command that trains.
        add_options: adds the options of an algorithm that is registered by now.
    """
    parse = parser.parse_known_args

    def parse_known_args(
        args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        name = _named(parser, list(sys.argv[1:] if args is None else args))
        if name is not None and name not in ALGORITHMS:
            try:
                row_of(name)
            except ValueError as error:
                parser.error(str(error))
            add_options(name)
        return parse(args, namespace)

    setattr(parser, "parse_known_args", parse_known_args)  # noqa: B010 (mypy: a method)


def _named(parser: CommandParser, words: list[str]) -> str | None:
    """Return the method that a command line names, where it is the user's own."""
    reader = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    reader.add_argument("--algorithm", nargs="?")
    name = reader.parse_known_args(words)[0].algorithm or algorithm_in_file(parser, words)
    return name if name is not None and is_own(name) else None
