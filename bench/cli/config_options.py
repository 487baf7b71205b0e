"""Options of a training config, for the commands that train, made from what methods declare."""

from __future__ import annotations

import argparse
import types
import typing
from collections.abc import Sequence
from dataclasses import Field, dataclass
from textwrap import wrap
from typing import Any

from bench.cli.config_file import add_config_file_option
from bench.cli.own_algorithm import add_when_named
from bench.cli.parser import CommandParser
from zo_core.algorithms import train_config
from zo_core.algorithms.configs import SHARED, OptionGroup, option_groups
from zo_core.algorithms.registry import ALGORITHMS
from zo_core.config import TrainConfig
from zo_core.options import declared, option_of


@dataclass(frozen=True, slots=True)
class ComputedDefault:
    """A default that the command computes; the option is None where it was not given."""

    words: str  # what it will be


_MAX_SHOWN = 40  # characters of choices shown in place of a value; longer lists go to the help
_FIELDS = {field.name: field for field in declared(TrainConfig)}
_PIVOT = ComputedDefault("a quarter of --rounds, rounded up")


def add_config_options(parser: CommandParser, **own: Any) -> None:
    """Add an option for each field that all methods share and for each option of a method.

    The parser also takes --config, a TOML file with values of its options.

    Args:
        parser: of the command.
        own: the command's defaults where they are not the config's: a value, or ComputedDefault.
    """
    shared = parser.add_argument_group("training, all algorithms")
    add_config_file_option(parser, shared)
    hints = typing.get_type_hints(TrainConfig)
    for field in _FIELDS.values():
        choices = tuple(ALGORITHMS) if field.name == "algorithm" else option_of(field).choices
        default = {"pivot": _PIVOT, **own}.get(field.name, _of_config(field))
        _add(shared, field, hints[field.name], default, choices)
    shared.add_argument(
        "--split",
        metavar="HIGH/LOW",
        help="percent of high- and low-resource clients, e.g. 10/90; sets --high-share",
    )
    for group in option_groups():
        _add_group(parser, group)
    add_when_named(parser, lambda algorithm: _add_own_groups(parser, algorithm))


def _add_own_groups(parser: CommandParser, algorithm: str) -> None:
    """Add the options that a method of the user's own declares, and no other."""
    parser._option_string_actions["--algorithm"].choices = tuple(ALGORITHMS)
    for group in option_groups():
        if group.algorithms == (algorithm,):
            _add_group(parser, group)


def _add_group(parser: CommandParser, group: OptionGroup) -> None:
    options = parser.add_argument_group(group.title, _wrapped(group.algorithms))
    hints = typing.get_type_hints(group.kind)
    for field in group.options:
        _add(options, field, hints[field.name], _of_config(field), option_of(field).choices)


def chosen_config(arguments: argparse.Namespace, **fixed: Any) -> TrainConfig:
    """Build the config that the user chose.

    Args:
        arguments: parsed.
        fixed: fields that something else decides.

    Raises:
        ValueError: a value is out of its range, or the algorithm does not take an option.
    """
    given = given_options(arguments)
    if "rounds" in given and "pivot" not in given:
        given["pivot"] = default_pivot(given["rounds"])
    return train_config(**(given | fixed))


def default_pivot(rounds: int) -> int:
    """Return the pivot of a run whose user gave only the rounds: the default's share, rounded up.

    >>> default_pivot(400), default_pivot(10)
    (100, 3)
    """
    return -(-rounds * TrainConfig.pivot // TrainConfig.rounds)


def words_for_none(config: TrainConfig) -> dict[str, str]:
    """Return what None stands for, by name, of the options of a config that allow it."""
    fields = (*declared(type(config)), *declared(type(config.options)))
    return {each.name: none for each in fields if (none := option_of(each).none) is not None}


def given_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the config's fields that the user gave, and the command's own defaults.

    Raises:
        ValueError: --split is not of its form.
    """
    names = [*SHARED, *(field.name for group in option_groups() for field in group.options)]
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    if arguments.split is not None:
        from zo_core.data import parse_split

        if arguments.high_share is not None:
            raise ValueError("--split sets --high-share: leave one of them out")
        given["high_share"] = parse_split(arguments.split)
    return given


def _of_config(field: Field[Any]) -> ComputedDefault:
    return ComputedDefault(_written(field, field.default))


def _wrapped(algorithms: Sequence[str]) -> str:
    """Write the names of algorithms as lines of a help text."""
    return "\n".join(wrap(f"for {', '.join(algorithms)}", width=90, break_on_hyphens=False))


def _add(
    group: argparse._ArgumentGroup,
    field: Field[Any],
    hint: Any,
    default: Any,
    choices: tuple[str, ...],
) -> None:
    """Add one option; its help contains meaning, allowed values and default."""
    later = isinstance(default, ComputedDefault)
    words = default.words if later else _written(field, default)
    group.add_argument(
        f"--{field.name.replace('_', '-')}",
        default=None if later else default,
        help=f"{_meaning(field, choices)}; default: {words}".replace("%", "%%"),
        **_reading(hint, choices),
    )


def _meaning(field: Field[Any], choices: tuple[str, ...]) -> str:
    option = option_of(field)
    rule = option.rule.removeprefix("must be ").removesuffix(" and finite in float32")
    if choices:
        rule = "" if _is_short(choices) else f"one of {', '.join(choices)}"
    return f"{option.help}; {rule}" if rule else option.help


def _written(field: Field[Any], default: Any) -> str:
    none = option_of(field).none
    if isinstance(default, bool):
        return "on" if default else "off"
    return none if default is None and none is not None else str(default)


def _reading(hint: Any, choices: tuple[str, ...]) -> dict[str, Any]:
    """Return how argparse reads an option of a type."""
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if choices:
        return {"choices": choices} | ({} if _is_short(choices) else {"metavar": "NAME"})
    if isinstance(hint, types.UnionType):  # int | None
        hint = typing.get_args(hint)[0]
    return {"type": hint, "metavar": {int: "N", float: "NUMBER", str: "NAME"}[hint]}


def _is_short(choices: tuple[str, ...]) -> bool:
    return len(",".join(choices)) <= _MAX_SHOWN
