"""Passes over the weights that survive an interrupt: a cut pass is continued, never repeated.

A signal handler may raise between any two bytecodes, and so may ``PyThreadState_SetAsyncExc`` in
any thread.  Nothing here blocks or replaces a handler.  Instead a kernel writes down what it is
about to do before it does it, and every write can be repeated: after an interrupt, calling the same
pass again finishes it, to the bits of a pass that nobody interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, starmap
from typing import Any, NamedTuple, TypeAlias, TypeVar

from zo_core.parameters import CHUNK, Span, size_of

T = TypeVar("T")
R = TypeVar("R")
# The first call runs a pass, a later call finishes what an interrupt cut, the rest do nothing.
Pass: TypeAlias = Callable[[], T]
_ATTEMPTS = 10  # to finish a pass while further interrupts come


class ReplayStats(NamedTuple):
    """What a replay did, or would do, to one span."""

    max_abs_k: int  # largest |k'| on the grid, OFF_GRID for a nan, inf or the like; 0 in plain mode
    zero_increments: int  # elements whose increment rounded to zero

    def merge(self, other: ReplayStats) -> ReplayStats:
        """Return the statistics of both parts together."""
        return ReplayStats(
            max(self.max_abs_k, other.max_abs_k), self.zero_increments + other.zero_increments
        )


NO_STATS = ReplayStats(0, 0)


class Chunk(NamedTuple):
    """A part of a span that is computed and written at once."""

    part: Any  # view of at most CHUNK elements
    span: int  # position of its span in the pass
    tensor_index: int
    start: int  # stream position of its first element


class Journal:
    """How far one kernel has come in one pass."""

    def __init__(self) -> None:
        self._results: list[Any] = []  # of the one call
        # items written, and what was computed of the next one: at most one element
        self._state: tuple[int, tuple[Any, ...]] = (0, ())
        self._stats: dict[int, ReplayStats] = {}  # by span

    def once(self, call: Callable[..., T], *args: Any) -> T:
        """Call a function unless an earlier attempt did, and return its result.

        The call and the note that it was made are one call in C, so that no signal handler runs
        between the end of a C function and its note.
        """
        if not self._results:
            self._results.extend(starmap(call, (args,)))
        result: T = self._results[0]
        return result

    def rewrite(
        self, spans: Sequence[Span], compute: Callable[[Chunk], tuple[Any, ReplayStats]]
    ) -> list[ReplayStats]:
        """Replace the content of every chunk, from where an earlier attempt stopped.

        Args:
            spans: where to write.
            compute: gives a chunk's new content, None to leave it, and its statistics.

        Returns:
            The statistics of each span.
        """

        def computed(chunk: Chunk) -> tuple[Any, ReplayStats]:
            values, found = compute(chunk)
            return values, self._stats.get(chunk.span, NO_STATS).merge(found)

        def write(chunk: Chunk, new: tuple[Any, ReplayStats]) -> None:
            values, self._stats[chunk.span] = new
            if values is not None:
                chunk.part[...] = values

        self.each(chunks_of(spans), computed, write)
        return [self._stats.get(index, NO_STATS) for index in range(len(spans))]

    def each(
        self, items: Iterable[T], compute: Callable[[T], R], write: Callable[[T, R], None]
    ) -> None:
        """Compute and write items one after the other, from where an earlier attempt stopped.

        Args:
            items: the same ones in each attempt.
            compute: reads the old content and gives what to write; changes nothing.
            write: replaces the old content; can be repeated.
        """
        for item in islice(items, self._state[0], None):
            done, computed = self._state
            if not computed:
                computed = (compute(item),)
                self._state = done, computed  # from here on the old content is not needed
            write(item, computed[0])
            self._state = done + 1, ()


def chunks_of(spans: Sequence[Span]) -> Iterator[Chunk]:
    """Cut spans into views of at most CHUNK elements; a strided span is one already."""
    for index, span in enumerate(spans):
        array, tensor_index, start = span.array, span.tensor_index, span.start
        if array.ndim != 1:
            yield Chunk(array, index, tensor_index, start)
            continue
        for offset in range(0, size_of(array), CHUNK):
            yield Chunk(array[offset : offset + CHUNK], index, tensor_index, start + offset)


def uninterrupted(run: Pass[T]) -> T:
    """Run a pass to its end; an interrupt that comes meanwhile is raised after it."""
    try:
        return run()
    except BaseException:
        finish(run)
        raise


def finish(run: Pass[object]) -> None:
    """Finish a pass while an exception is on its way, whatever other interrupts come.

    Raises:
        BaseException: what the last of several attempts raised.
    """
    for _ in range(_ATTEMPTS):
        try:
            run()
            return
        except BaseException:  # the exception on its way is the one to raise
            continue
    run()
