"""Energy of a region from an external meter's log: a CSV of times and watts.

The log's clock and this machine's must agree (NTP). A row is a time and watts; times are seconds
since 1970 or ISO 8601 (with an offset, else in this machine's zone); a first row of names is
skipped. The log may grow while the region runs.
"""

from __future__ import annotations

import csv
import math
import re
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from devices.reading import Reading, missing

_PATIENCE_S = 5.0  # for the row after the region's end
_POLL_S = 0.2
_LONGEST_GAP_S = 2.0  # between two rows in the region: a longer one is a log that stopped


class LoggedPower:
    """Integrate an external meter's watts over a region, by the trapezoid rule."""

    def __init__(
        self,
        file: Path,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Read `file` when a region ends; `clock` gives seconds since 1970.

        Raises:
            ValueError: A row is not a time and watts, or times do not rise.
        """
        read_power_log(file)  # a bad file is an error before the work, not after it
        self._file, self._clock, self._sleep = file, clock, sleep
        self._method = f"external meter, {file.name}"

    def start(self) -> None:
        """Note the time."""
        self._start_s = self._clock()

    def stop(self) -> Reading:
        """Return the joules since start(); None where the log does not cover the region."""
        end_s = self._clock()
        rows = read_power_log(self._file)
        while not (rows and rows[-1][0] >= end_s) and self._clock() < end_s + _PATIENCE_S:
            self._sleep(_POLL_S)
            rows = read_power_log(self._file)
        joules, reason = integrate(rows, self._start_s, end_s)
        if joules is None:
            return missing("joule", reason, method=self._method)
        return Reading(value=joules, unit="joule", method=self._method)


def read_power_log(file: Path) -> list[tuple[float, float]]:
    """Return the rows of a log as (seconds since 1970, watts).

    Args:
        file: The CSV; a last row that is still being written is left out.

    Raises:
        ValueError: A row is not a time and watts, or times do not rise.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the energy log {file} cannot be read: {error}") from None
    whole = text[: text.rfind("\n") + 1]
    rows: list[tuple[float, float]] = []
    for number, row in enumerate(csv.reader(whole.splitlines()), start=1):
        parsed = _parse(row)
        if parsed is None and number == 1:
            continue  # names of the columns
        if parsed is None or (rows and parsed[0] <= rows[-1][0]):
            raise ValueError(
                f"{file}, line {number}: each row must be a later time and its watts, e.g. "
                f"1767225600.5,4.81; got {','.join(row)!r}"
            )
        rows.append(parsed)
    return rows


def integrate(
    rows: Sequence[tuple[float, float]], start_s: float, end_s: float
) -> tuple[float | None, str]:
    """Return the joules between two times, interpolated at both, or None and why.

    Args:
        rows: (seconds, watts), in order of time.
        start_s: The region's start.
        end_s: Its end.
    """
    if not rows or rows[0][0] > start_s or rows[-1][0] < end_s:
        covered = f"from {rows[0][0]:.3f} to {rows[-1][0]:.3f}" if rows else "no time"
        return None, f"the log covers {covered}, the region {start_s:.3f} to {end_s:.3f}"
    inner = [row for row in rows if start_s < row[0] < end_s]
    first, last = _outer(rows, start_s, end_s)
    gap_s = max(b[0] - a[0] for a, b in zip([first, *inner], [*inner, last], strict=True))
    if gap_s > _LONGEST_GAP_S:
        return None, f"the log has a gap of {gap_s:.1f} s in the region"
    points = [(start_s, _at(rows, start_s)), *inner, (end_s, _at(rows, end_s))]
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points)), ""


def _outer(
    rows: Sequence[tuple[float, float]], start_s: float, end_s: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the last row up to the start and the first one from the end on."""
    before = [row for row in rows if row[0] <= start_s]
    after = [row for row in rows if row[0] >= end_s]
    return before[-1], after[0]


def _at(rows: Sequence[tuple[float, float]], when_s: float) -> float:
    index = bisect_left(rows, (when_s, -math.inf))
    late_s, late_w = rows[index]
    if late_s == when_s:
        return late_w
    early_s, early_w = rows[index - 1]
    return early_w + (late_w - early_w) * (when_s - early_s) / (late_s - early_s)


def _parse(row: Sequence[str]) -> tuple[float, float] | None:
    if len(row) != 2:
        return None
    try:
        watts = float(row[1])
        when_s = _seconds(row[0].strip())
    except ValueError:
        return None
    return (when_s, watts) if math.isfinite(when_s) and math.isfinite(watts) else None


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text)).timestamp()  # for 3.10
