"""The progress of a training run on the terminal, and what Ctrl-C does during it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_EVERY_S = 15.0  # where no live line can be shown


@contextmanager
def showing_progress(console: Console, rounds: int) -> Iterator[Callable[[Any], None]]:
    """Show accuracy, bytes so far and time left: a live line on a terminal, else one every 15 s.

    Args:
        console: where to; a quiet one shows nothing.
        rounds: of the whole run.

    Yields:
        What is to be called with the run's record after each round.
    """
    live = console.is_terminal and not console.quiet
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not live) as bar:
        task = bar.add_task("starting", total=rounds)
        lines = _Lines(console, rounds)

        def show(record: Any) -> None:
            bar.update(task, completed=record.rounds_done, description=describe(record))
            if not live:
                lines.show(record)

        yield show


@contextmanager
def stopping_on_interrupt(log: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a request to stop after the round; the second one interrupts.

    Args:
        log: shows a line to the user.

    Yields:
        A function that says whether stopping was asked for.
    """
    requested = False

    def request(_signal: int, _frame: FrameType | None) -> None:
        nonlocal requested
        if requested:
            raise KeyboardInterrupt
        requested = True
        log("stopping after this round (Ctrl-C again: at once, without saving)")

    before = signal.signal(signal.SIGINT, request)
    try:
        yield lambda: requested
    finally:
        signal.signal(signal.SIGINT, before)


def describe(record: Any) -> str:
    """Write where a run stands: round, accuracies, bytes so far."""
    text = f"{record.config.algorithm}, round {record.rounds_done}"
    if record.curve:
        last = record.curve[-1]
        text += f": {_quality(last)}"
        if last.low_accuracy is not None:
            text += f", {100 * last.low_accuracy:.1f} % over low-resource hold-outs"
    megabytes = (record.up_payload_bytes + record.down_payload_bytes) / 1e6
    return f"{text}, {megabytes:.1f} MB transferred"


def _quality(last: Any) -> str:
    if last.test_accuracy is None:
        return f"test loss {last.test_loss:.4g}"
    return f"{100 * last.test_accuracy:.1f} % test accuracy"


class _Lines:
    """A plain line every so often, with the time left at the pace since the last one."""

    def __init__(self, console: Console, rounds: int) -> None:
        self._console = console
        self._rounds = rounds
        self._shown_at = time.monotonic()
        self._shown_round = -1

    def show(self, record: Any) -> None:
        now, done = time.monotonic(), record.rounds_done
        if self._shown_round < 0:  # a resumed run begins later than at 0
            self._shown_round = done - 1
        if now - self._shown_at < _LINE_EVERY_S:
            return
        left_s = (self._rounds - done) * (now - self._shown_at) / (done - self._shown_round)
        self._console.print(f"{describe(record)}, about {left_s:.0f} s left")
        self._shown_at, self._shown_round = now, done
