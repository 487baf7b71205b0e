"""Configs from plain names: which options belong to which algorithm, and who refuses what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass
from inspect import get_annotations
from typing import Any

from zo_core.algorithms.registry import ALGORITHMS, row_of
from zo_core.config import TrainConfig
from zo_core.options import Options, declared

SHARED = tuple(each.name for each in declared(TrainConfig))  # options of every algorithm


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionGroup:
    """Options that one class declares, with the algorithms that take them."""

    kind: type[Options]
    title: str
    options: tuple[Field[Any], ...]
    algorithms: tuple[str, ...]


def train_config(algorithm: str = "zowarmup", **values: Any) -> TrainConfig:
    """Build a config from shared fields and the algorithm's own options, by name.

    Args:
        algorithm: a name in ALGORITHMS.
        values: what differs from the defaults.

    Raises:
        ValueError: the algorithm is unknown or does not take an option, or a value is out of range.
    """
    kind = row_of(algorithm).options
    own = {each.name for each in declared(kind)}
    for name, value in values.items():
        if name not in own and name not in SHARED:
            raise ValueError(f"{_not_taken(name, algorithm)}, got {value}")
    options = kind(**{name: value for name, value in values.items() if name in own})
    shared = {name: value for name, value in values.items() if name in SHARED}
    return TrainConfig(algorithm=algorithm, options=options, **shared)


def taken_by(algorithm: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what an algorithm takes of values that are meant for several.

    Args:
        algorithm: a name in ALGORITHMS.
        values: shared fields and options of any algorithm, by name.

    Raises:
        ValueError: the algorithm is unknown, or a name is not an option of any.
    """
    own = {each.name for each in declared(row_of(algorithm).options)}
    for name in values:
        if name not in SHARED and not _takers(name):
            raise ValueError(_not_taken(name, algorithm))
    return {name: value for name, value in values.items() if name in own or name in SHARED}


def option_groups() -> list[OptionGroup]:
    """List the options of all algorithms by the class that declares them, bases first."""
    kinds = dict.fromkeys(
        kind
        for row in ALGORITHMS.values()
        for kind in reversed(row.options.__mro__)
        if issubclass(kind, Options) and get_annotations(kind)
    )
    return [_group(kind) for kind in kinds]


def _group(kind: type[Options]) -> OptionGroup:
    own = get_annotations(kind)
    return OptionGroup(
        kind=kind,
        title=(kind.__doc__ or "").strip(),
        options=tuple(each for each in declared(kind) if each.name in own),
        algorithms=tuple(n for n, row in ALGORITHMS.items() if issubclass(row.options, kind)),
    )


def _takers(name: str) -> list[str]:
    return [
        algorithm
        for algorithm, row in ALGORITHMS.items()
        if any(each.name == name for each in declared(row.options))
    ]


def _not_taken(name: str, algorithm: str) -> str:
    if takers := _takers(name):
        return f"{name} must be left out for {algorithm}: it is an option of {', '.join(takers)}"
    known = [*SHARED, *(each.name for each in declared(row_of(algorithm).options))]
    return f"{name} is not an option; {algorithm} takes {', '.join(known)}"
