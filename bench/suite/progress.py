"""What a person sees while the suite runs: a line a finished case, a live line on a terminal."""

from __future__ import annotations

import time
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text


class Progress:
    """Shows cases as they run; silent until :meth:`start`."""

    def __init__(self) -> None:
        self.console = Console(quiet=True, markup=False, emoji=False)
        self.is_quiet = False  # show the result alone
        self._bar: Bar | None = None
        self._began = 0.0

    def start(self, cases: int, stream: TextIO) -> None:
        """Begin to show progress on a stream."""
        self.console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=self.is_quiet or not self.console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=cases)
        self._bar.start()

    def begin(self, name: str) -> None:
        """Show the case that is about to run."""
        self._began = time.perf_counter()
        self.log(name)

    def log(self, text: str) -> None:
        """Show what the running case is doing."""
        if self._bar is not None:
            self._bar.update(self._task, description=text)

    def line(self, case: str, headline: str) -> None:
        """Print a finished case's headline, which stays on the screen."""
        if self.is_quiet:
            return
        elapsed_s = time.perf_counter() - self._began
        line = Text(f"{case:<36} {headline}  ").append(f"{elapsed_s:.1f} s", style="dim")
        self.console.print(line, soft_wrap=True)

    def end(self) -> None:
        """Count one case as done."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def stop(self) -> None:
        """Take the live line off the screen."""
        if self._bar is not None:
            self._bar.stop()
