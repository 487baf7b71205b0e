"""How a case gets its parameters from the scale of the run, and runs processes side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from bench.scales import Scale

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


@contextmanager
def side_by_side(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Give threads that each wait for a process; on Ctrl-C none is begun that has not been.

    Take the results within the context, where Ctrl-C ends the waiting.
    """
    with ThreadPoolExecutor(workers) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
