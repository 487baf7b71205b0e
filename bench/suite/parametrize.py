"""How a case gets its parameters from the scale of the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from bench.suite.scales import Scale

Case = TypeVar("Case", bound=Callable[..., None])


def with_parameters(names: str, values: Callable[[Scale], Sequence[Any]]) -> Callable[[Case], Case]:
    """Run a case once for each value that the scale gives; the plug-in reads it at collection.

    Args:
        names: the case's parameters, comma-separated.
        values: gives the parameters' tuples of a scale.
    """

    def mark(case: Case) -> Case:
        case.parameters = lambda scale: (names, values(scale))  # type: ignore[attr-defined]
        return case

    return mark
