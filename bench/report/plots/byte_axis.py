"""The logarithmic axis of bytes: ticks at powers of two, each with its unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.format import format_bytes

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
    axes.set_xscale("log", base=2)  # first, so that limits nobody set have a logarithmic margin
    ticks = byte_ticks(*axes.get_xlim())
    axes.set_xticks(ticks, [format_bytes(tick) for tick in ticks], fontsize=fontsize)
    axes.minorticks_off()
