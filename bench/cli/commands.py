"""Find the commands of ``zobench``: the modules of this folder that have ``register``.

A new command is one new file; its call of ``add_command`` names its group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

import bench.cli
from bench import SUITE_VERSION
from bench.cli.parser import CommandParser, Group

_ABOUT = """\
Measure what zeroth-order (ZO) federated training costs on this device, and train with it."""
_ENDING = """\
`zobench COMMAND --help` lists the options of a command, with examples.
New here? `zobench devices --check`, then `zobench run`.

exit codes: 0 done; 1 a check or a threshold failed; 2 wrong usage; 3 something is not installed or
not available on this machine; 130 interrupted"""

_PATHS = {  # shtab.FILE
    **{"bash": "_shtab_compgen_files", "zsh": "_files"},
    **{"tcsh": "f", "fish": "(__fish_complete_path (commandline -ct))"},
}


def build_parser(first_word: str | None = None) -> CommandParser:
    """Make the parser of the whole program.

    Args:
        first_word: of the command line. If it is a command, only this one is imported, which
            saves time on a small board.
    """
    parser = CommandParser(prog="zobench", usage="%(prog)s COMMAND [options]", epilog=_ENDING)
    parser.add_argument("--version", action="version", version=f"zobench {SUITE_VERSION}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", prog="zobench"
    )
    for module in _chosen(first_word):
        module.register(commands)
    _complete_paths(commands.choices.values())
    parser.description = f"{_ABOUT}\n\n{_grouped(commands)}"
    return parser


def _complete_paths(parsers: Iterable[CommandParser]) -> None:
    """Let shtab, which writes shell completions, complete paths."""
    for parser in parsers:
        for action in parser._actions:
            if action.type is Path:
                action.complete = _PATHS  # type: ignore[attr-defined]


def _chosen(first_word: str | None) -> Iterator[ModuleType]:
    module = _module(first_word or "")
    yield from [module] if module else filter(None, map(_module, _names()))


def _names() -> list[str]:
    return [found.name for found in iter_modules(bench.cli.__path__)]


def _module(name: str) -> ModuleType | None:
    """Import a command; None if the name is not one."""
    if not name.isidentifier() or find_spec(f"bench.cli.{name}") is None:
        return None
    module = import_module(f"bench.cli.{name}")
    return module if hasattr(module, "register") else None


def _grouped(commands: Any) -> str:
    """Write a line per command below the heading of its group."""
    about = {row.dest: row.help for row in commands._choices_actions}
    blocks = []
    for group in Group:
        names = sorted(name for name, each in commands.choices.items() if each.group is group)
        blocks.append("\n".join([f"{group.value}:", *(f"  {n:<10}{about[n]}" for n in names)]))
    return "\n\n".join(blocks)
