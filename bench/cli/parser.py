"""The parser of ``zobench``: commands in groups, errors in one line that suggest what was meant."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from enum import Enum
from itertools import takewhile
from typing import Any, NoReturn

EXIT_USAGE = 2


class Group(Enum):
    """The headings of ``zobench --help``, in order; each command names its own."""

    MEASURE = "Measure"
    TRAIN = "Train"
    RESULTS = "Results"


class CommandParser(argparse.ArgumentParser):
    """Parses a command line; options cannot be abbreviated, so a new one breaks no script.

    Args:
        group: of the command; None for the whole program.
        options: of argparse.ArgumentParser.
    """

    def __init__(self, *, group: Group | None = None, **options: Any) -> None:
        options = {"formatter_class": argparse.RawDescriptionHelpFormatter, **options}
        super().__init__(allow_abbrev=False, **options)
        self.group = group
        self.expand: Callable[[CommandParser, list[str]], list[str]] = lambda _, words: words
        self.source = ""  # names the file whose values are being parsed

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse as argparse does; report an unknown option before anything that is missing."""
        words = sys.argv[1:] if args is None else list(args)
        known = self._option_string_actions
        for option in self._own_options(words):
            if option not in known:
                self.error(f"unknown option {option}{did_you_mean(option, known)}")
        return super().parse_known_args(self.expand(self, words), namespace)

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with the code of a usage error."""
        self.exit(EXIT_USAGE, f"{self.prog}: {self.source}{message}; see `{self.prog} --help`\n")

    def format_usage(self) -> str:
        """Write the usage in one line: what must be given, and a word for all options."""
        return f"{self._line()}\n"

    def format_help(self) -> str:
        """Write the help below that line; the description lists the sub-commands by group."""
        self.usage = self.usage or self._line().removeprefix("usage: ").replace("%", "%%")
        listed = [each for each in self._actions if isinstance(each, argparse._SubParsersAction)]
        for action in listed:
            action.help = argparse.SUPPRESS
        try:
            return super().format_help()
        finally:
            for action in listed:
                action.help = None

    def _line(self) -> str:
        needed = [each for each in self._actions if each.required or not each.option_strings]
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, needed, [])
        line = " ".join(formatter.format_help().split())
        return line if self.usage else f"{line} [options]"

    def _own_options(self, words: Sequence[str]) -> list[str]:
        """List the long options that are not a sub-command's."""
        if self._subparsers is not None:
            words = list(takewhile(lambda word: word.startswith("-"), words))
        words = list(takewhile(lambda word: word != "--", words))
        return [word.partition("=")[0] for word in words if word.startswith("--")]

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        name = "/".join(action.option_strings) or action.metavar
        known = ", ".join(map(str, action.choices))
        hint = did_you_mean(str(value), action.choices)
        self.error(f"{name} must be one of {known}, got {value!r}{hint}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message that suggests a known word; empty if none is close.

    >>> did_you_mean("--round", ["--rounds", "--seeds"]), did_you_mean("--x", ["--rounds"])
    ('; did you mean --rounds?', '')
    """
    found = get_close_matches(word, list(map(str, known)), n=1)
    return f"; did you mean {found[0]}?" if found else ""
