"""Options of a training config, for the commands that train: made from what methods declare."""

from __future__ import annotations

import argparse
import types
import typing
from dataclasses import Field, dataclass
from typing import Any

from bench.cli.own_algorithm import add_when_named
from zo_core.algorithms import train_config
from zo_core.algorithms.configs import SHARED, OptionGroup, option_groups
from zo_core.algorithms.registry import ALGORITHMS
from zo_core.config import TrainConfig
from zo_core.options import declared, option_of


@dataclass(frozen=True, slots=True)
class ComputedDefault:
    """A default that the command computes; the option is None where it was not given."""

    words: str  # what it will be


def add_config_options(parser: argparse.ArgumentParser, **own: Any) -> None:
    """Add an option for each field that all methods share and for each option of a method.

    Args:
        parser: of the command.
        own: the command's defaults where they are not the config's: a value, or ComputedDefault.
    """
    shared = parser.add_argument_group("training, all algorithms")
    hints = typing.get_type_hints(TrainConfig)
    for field in declared(TrainConfig):
        choices = {"choices": ALGORITHMS.keys()} if field.name == "algorithm" else {}
        default = own.get(field.name, _of_config(field))
        _add(shared, field, hints[field.name], default, **choices)
    shared.add_argument("--split", metavar="HIGH/LOW", help="sets --high-share, e.g. 10/90")
    for group in option_groups():
        _add_group(parser, group)
    add_when_named(parser, lambda algorithm: _add_own_groups(parser, algorithm))


def _add_own_groups(parser: argparse.ArgumentParser, algorithm: str) -> None:
    """Add the options that a method of the user's own declares, and no other."""
    for group in option_groups():
        if group.algorithms == (algorithm,):
            _add_group(parser, group)


def _add_group(parser: argparse.ArgumentParser, group: OptionGroup) -> None:
    options = parser.add_argument_group(group.title, f"of {', '.join(group.algorithms)}")
    hints = typing.get_type_hints(group.kind)
    for field in group.options:
        _add(options, field, hints[field.name], _of_config(field))


def chosen_config(arguments: argparse.Namespace, **fixed: Any) -> TrainConfig:
    """Build the config that the user chose.

    Args:
        arguments: parsed.
        fixed: fields that something else decides.

    Raises:
        ValueError: a value is out of its range, or the algorithm does not take an option.
    """
    return train_config(**(given_options(arguments) | fixed))


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


def _add(
    group: argparse._ArgumentGroup, field: Field[Any], hint: Any, default: Any, **reading: Any
) -> None:
    """Add one option; the help ends with its default."""
    later = isinstance(default, ComputedDefault)
    words = default.words if later else _written(field, default)
    group.add_argument(
        f"--{field.name.replace('_', '-')}",
        default=None if later else default,
        help=f"{option_of(field).help}{_range(field)}; default: {words}".replace("%", "%%"),
        **(reading or _reading(field, hint)),
    )


def _range(field: Field[Any]) -> str:
    option = option_of(field)
    return "" if option.choices or not option.rule else f", {option.rule.removeprefix('must be ')}"


def _written(field: Field[Any], default: Any) -> str:
    none = option_of(field).none
    return none if default is None and none is not None else str(default)


def _reading(field: Field[Any], hint: Any) -> dict[str, Any]:
    """Say how argparse reads an option of some type."""
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if option_of(field).choices:
        return {"choices": option_of(field).choices}
    if isinstance(hint, types.UnionType):  # int | None
        hint = typing.get_args(hint)[0]
    return {"type": hint, "metavar": hint.__name__.upper()}
