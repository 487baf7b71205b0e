"""The commands and options of ``zobench`` change on purpose only: commands.txt lists them.

Options that a training method declares are left out: the table of laws tests those.
`python tests/bench/test_commands.py` writes the list again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from bench.__main__ import build_parser
from zo_core.algorithms.configs import option_groups

LIST = Path(__file__).with_name("commands.txt")
OF_METHODS = {
    f"--{field.name.replace('_', '-')}" for group in option_groups() for field in group.options
}
REFRESH = "python tests/bench/test_commands.py"


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield a line per option and argument of a parser and of its sub-commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from options_of(command)
        elif not isinstance(action, argparse._HelpAction) and OF_METHODS.isdisjoint(
            action.option_strings
        ):
            yield f"{parser.prog} {', '.join(action.option_strings) or action.dest.upper()}"


def commands_text() -> str:
    return "".join(f"{line}\n" for line in sorted(options_of(build_parser())))


def test_commands_and_options_are_those_listed() -> None:
    listed, found = set(LIST.read_text().splitlines()), set(commands_text().splitlines())
    assert (sorted(found - listed), sorted(listed - found)) == ([], []), (
        f"commands or options were (added, removed); if you mean it, run: {REFRESH}"
    )


if __name__ == "__main__":
    LIST.write_text(commands_text())
