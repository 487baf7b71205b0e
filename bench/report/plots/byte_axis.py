"""The logarithmic axis of bytes: ticks at powers of two, each with its unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.format import size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_TICKS = 6
_QUARTERS = (1.0, 1.25, 1.5, 1.75)


def byte_ticks(low: float, high: float) -> list[float]:
    """Choose two to six round numbers of bytes between two values, where there are as many.

    >>> byte_ticks(70e3, 500e3), byte_ticks(1100.0, 1700.0), len(byte_ticks(1.0, 2.0**40))
    ([131072.0, 262144.0], [1280.0, 1536.0], 6)
    """
    powers = [2.0**i for i in range(50) if low < 2.0**i < high]
    if len(powers) < 2:
        powers = [q * 2.0**i for i in range(50) for q in _QUARTERS if low < q * 2.0**i < high]
    step = -(-len(powers) // _MOST_TICKS)
    return powers[::step]


def set_byte_axis(axes: Axes, *, fontsize: float | None = None) -> None:
    """Make the drawn x axis, in bytes, logarithmic; call it after drawing and setting limits."""
    low, high = axes.get_xlim()
    if low <= 0:  # a linear axis leaves a margin below the first point
        low = min(float(np.min(line.get_xdata())) for line in axes.get_lines()) / 1.2
    axes.set_xscale("log", base=2)
    axes.set_xlim(low, high)
    ticks = byte_ticks(low, high)
    axes.set_xticks(ticks, [size(tick) for tick in ticks], fontsize=fontsize)
    axes.minorticks_off()
