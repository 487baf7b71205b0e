"""``--config FILE``: options of a command from a TOML file, which the command line overrides.

The keys are the names of the command's options without the dashes in front::

    algorithm = "zowarmup"
    split = "10/90"
    micro-batch = 16
    grid = false
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.cli.parser import CommandParser, did_you_mean

_EXCLUDED = ("config", "help")
_SAME = ("split", "high-share")  # two options of one value


def add_config_file_option(parser: CommandParser, group: argparse._ArgumentGroup) -> None:
    """Add --config, and have the parser read the file."""
    group.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="TOML file with values of these options, e.g. micro-batch = 16; options on the"
        " command line override it",
    )
    parser.expand = with_config_file


def with_config_file(parser: CommandParser, words: list[str]) -> list[str]:
    """Put the options of the file of --config in front of a command line's own.

    Args:
        parser: of the command; it exits if the file is wrong.
        words: of the command line, after the command.
    """
    path = _path_in(words)
    if path is None:
        return words
    values = _read(parser, path)
    parser.source = f"{path}: "
    if any(word.partition("=")[0] in {f"--{name}" for name in _SAME} for word in words):
        values = {key: value for key, value in values.items() if key not in _SAME}
    own = [word for key, value in values.items() for word in _words(parser, key, value)]
    argparse.ArgumentParser.parse_known_args(parser, own)  # reports its mistakes under its name
    parser.source = ""
    return [*own, *words]


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a TOML document.

    Raises:
        ValueError: it is not valid.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def to_toml(values: Mapping[str, Any], absent: Mapping[str, str]) -> str:
    """Write options as a file for --config.

    Args:
        values: by name, with underscores; None is written as a comment.
        absent: what None stands for, by name.
    """
    return "".join(
        f"# {_key(name)}: {absent.get(name, 'not set')}\n"
        if value is None
        else f"{_key(name)} = {json.dumps(value)}\n"
        for name, value in values.items()
    )


def _key(name: str) -> str:
    return name.replace("_", "-")


def algorithm_in_file(parser: CommandParser, words: list[str]) -> str | None:
    """Return the algorithm that the file of a command line's --config names, if any."""
    path = _path_in(words)
    name = None if path is None else _read(parser, path).get("algorithm")
    return name if isinstance(name, str) else None


def _path_in(words: list[str]) -> Path | None:
    reader = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    reader.add_argument("--config", type=Path, nargs="?")
    path: Path | None = reader.parse_known_args(words)[0].config
    return path


def _read(parser: CommandParser, path: Path) -> dict[str, Any]:
    try:
        return parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        parser.error(f"--config must be a TOML file that can be read, got {path}: {reason}")


def _words(parser: CommandParser, key: str, value: Any) -> list[str]:
    """Write one pair of the file as words of the command line."""
    known = {
        option[2:]: action
        for option, action in parser._option_string_actions.items()
        if option.startswith("--") and option[2:] not in _EXCLUDED
    }
    action = known.get(key)
    if action is None:
        parser.error(f"unknown key {key!r}{did_you_mean(key, known)}")
    if action.nargs == 0:
        return _switch(parser, known, key, value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        parser.error(f"{key} must be a number or a text, got {json.dumps(value, default=str)}")
    return [f"--{key}={value}"]


def _switch(
    parser: CommandParser, known: Mapping[str, argparse.Action], key: str, value: Any
) -> list[str]:
    if not isinstance(value, bool):
        parser.error(f"{key} must be true or false, got {json.dumps(value, default=str)}")
    if value:
        return [f"--{key}"]
    return [f"--no-{key}"] if f"no-{key}" in known else []
