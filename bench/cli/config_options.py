"""One option for each field of a training config, for the commands that train."""

from __future__ import annotations

import argparse
import types
import typing
from dataclasses import dataclass, fields
from typing import Any

from zo_core.config import TrainConfig

# What a field that is None stands for.
_NONE = {
    "zo_cohort": "all clients",
    "micro_batch": "all items at once",
    "zo_share": "the ZO clients' share of those who took part",
}


@dataclass(frozen=True, slots=True)
class Later:
    """A default that the command works out; the option is None where it was not given."""

    words: str  # what it will be


def add_config_options(parser: argparse.ArgumentParser, **own: Any) -> None:
    """Add an option for each field, and ``--split``.

    Args:
        parser: of the command.
        own: the command's defaults where they are not the config's: a value, or Later.
    """
    hints = typing.get_type_hints(TrainConfig)
    for field in fields(TrainConfig):
        default = own.get(field.name, field.default)
        words = default.words if isinstance(default, Later) else default
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            default=None if isinstance(default, Later) else default,
            help=f"default: {_NONE[field.name] if words is None else words}",
            **_parsing(hints[field.name]),
        )
    parser.add_argument("--split", metavar="HIGH/LOW", help="e.g. 10/90; sets --high-share")


def chosen_config(arguments: argparse.Namespace, **fixed: Any) -> TrainConfig:
    """Build the config that was asked for.

    Args:
        arguments: parsed.
        fixed: fields that something else decides.

    Raises:
        ValueError: a field is out of its range.
    """
    chosen = {field.name: getattr(arguments, field.name) for field in fields(TrainConfig)}
    if arguments.split is not None:
        from zo_core.data import parse_split

        chosen["high_share"] = parse_split(arguments.split)
    return TrainConfig(**(chosen | fixed))


def _parsing(hint: Any) -> dict[str, Any]:
    """Say how argparse reads a config field of some type."""
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if typing.get_origin(hint) is typing.Literal:
        return {"choices": typing.get_args(hint)}
    if isinstance(hint, types.UnionType):  # int | None
        hint = typing.get_args(hint)[0]
    return {"type": hint, "metavar": hint.__name__.upper()}
