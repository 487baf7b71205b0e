"""Options that a frozen dataclass declares: type, default, allowed values, help text.

The checks, the command line and the tables of the documentation are made from the declarations::

    @dataclass(frozen=True, kw_only=True)
    class WalkOptions(Options):
        steps: int = count(1, "local steps per round")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import Field, dataclass, field, fields
from typing import Any

_LARGEST = 2.0**127  # finite in float32, also when squared roots and sums are taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What is declared of an option besides its name, type and default."""

    help: str
    rule: str  # of its values, "must be >= 1"; empty where every value is allowed
    allows: Callable[[Any], bool]
    none: str | None = None  # what None stands for; None where it is not allowed
    choices: tuple[str, ...] = ()


class Options:
    """Base of the dataclasses that declare options; checks every value.

    Raises:
        ValueError: a value is out of its range; the message names the option.
    """

    def __post_init__(self) -> None:
        for each in declared(type(self)):
            option, value = option_of(each), getattr(self, each.name)
            allowed = option.none is not None if value is None else option.allows(value)
            require(allowed, each.name, option.rule, value)
        self.check()

    def check(self) -> None:
        """Check what several options must fulfil together; overriders call super().check()."""


def declared(kind: type) -> Iterator[Field[Any]]:
    """Yield the fields of a dataclass that are options, those of its bases first."""
    yield from (each for each in fields(kind) if "option" in each.metadata)


def option_of(declaration: Field[Any]) -> Option:
    """Return what a field declares."""
    option: Option = declaration.metadata["option"]
    return option


def require(holds: bool, name: str, rule: str, value: object) -> None:
    """Raise a ValueError that names option, rule and value, unless the rule holds."""
    if not holds:
        raise ValueError(f"{name} {rule}, got {value}")


def count(
    default: int | None,
    help: str,
    *,
    least: int = 1,
    most: int | None = None,
    none: str | None = None,
) -> Any:
    """Declare a whole number of least or more.

    Args:
        default: the default.
        help: a noun phrase with the unit.
        least: the smallest value.
        most: the largest value; None for no limit.
        none: what None stands for; None where it is not allowed.
    """
    upper = "2^64 - 1" if most == (1 << 64) - 1 else most
    rule = f"must be >= {least}" if most is None else f"must be in [{least}, {upper}]"

    def allows(value: int) -> bool:
        return value >= least and (most is None or value <= most)

    return _declare(default, Option(help=help, rule=rule, allows=allows, none=none))


def rate(default: float, help: str) -> Any:
    """Declare a positive number that float32 holds."""
    rule = "must be > 0 and finite in float32"
    return _declare(
        default, Option(help=help, rule=rule, allows=lambda value: 0 < value < _LARGEST)
    )


def share(default: float | None, help: str, *, zero: bool = False, none: str | None = None) -> Any:
    """Declare a share below 1, and above 0 unless zero is allowed."""
    rule = "must be in [0, 1)" if zero else "must be in (0, 1)"

    def allows(value: float) -> bool:
        return 0 < value < 1 or (zero and value == 0)

    return _declare(default, Option(help=help, rule=rule, allows=allows, none=none))


def choice(default: str, choices: Iterable[str], help: str) -> Any:
    """Declare one of some names."""
    names = tuple(choices)
    rule = f"must be one of {', '.join(names)}"
    return _declare(default, Option(help=help, rule=rule, allows=names.__contains__, choices=names))


def flag(default: bool, help: str) -> Any:
    """Declare a switch."""
    return _declare(default, Option(help=help, rule="", allows=lambda value: True))


def text(
    default: str | None,
    help: str,
    *,
    rule: str = "",
    allows: Callable[[Any], bool] = lambda value: True,
    none: str | None = None,
) -> Any:
    """Declare a name with a rule of its own, or one that is checked where it is looked up."""
    return _declare(default, Option(help=help, rule=rule, allows=allows, none=none))


def _declare(default: Any, option: Option) -> Any:
    return field(default=default, metadata={"option": option})
