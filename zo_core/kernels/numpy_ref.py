"""The kernels in NumPy: written to be read, and the reference that the fast ones must equal."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zo_core.directions import rademacher
from zo_core.fixed_point import FixedPointUpdate
from zo_core.kernels.resumable_pass import NO_STATS, Chunk, Journal, ReplayStats, chunks_of
from zo_core.parameters import Span

Direction = Callable[[int, int, int, int], npt.NDArray[Any]]  # (seed, tensor, n, start) -> z

OFF_GRID = 1 << 62  # max_abs_k of a span with a weight that is no k * 2^e at all


def prepare(spans: Sequence[Span]) -> Sequence[Span]:
    """Return the spans as they are; other kernels make their tables here."""
    return spans


def perturb(
    spans: Sequence[Span],
    terms: Sequence[tuple[int, float]],
    direction: Direction,
    threads: int,
    *,
    journal: Journal,
) -> None:
    """Add scale * z(seed) for each (seed, scale) of terms, one after the other, in place."""

    def moved(chunk: Chunk) -> tuple[npt.NDArray[Any], ReplayStats]:
        return _perturbed(chunk, terms, direction), NO_STATS

    journal.rewrite(spans, moved)


def replay(
    spans: Sequence[Span],
    update: FixedPointUpdate,
    exponents: Sequence[int] | None,
    write: bool,
    threads: int,
    *,
    back: Sequence[tuple[int, float]] = (),
    journal: Journal,
) -> list[ReplayStats]:
    """Apply a round's list in one pass (zo-grid/1, rules 7 and 8), or only look what it would do.

    Args:
        spans: stretches of fp32 weights (any floating dtype in plain mode).
        update: the list as integers.
        exponents: e of each tensor, by tensor number; None for plain mode, where the sum of the
            list is added with one rounding, w + fl(s) * 2^f.
        write: False leaves the weights alone.
        threads: not used here.
        back: (seed, scale) terms of Rademacher directions, added first: the way back to the weights
            that the list is for.  The bits are those of :func:`perturb` and then a replay.
        journal: of this pass.

    Returns:
        One ReplayStats a span.
    """

    def moved(chunk: Chunk) -> tuple[npt.NDArray[Any] | None, ReplayStats]:
        s = _sums(chunk, update)
        values = _perturbed(chunk, back, rademacher)
        if exponents is None:
            values += _scaled(s, update.f, values.dtype)
            stats = ReplayStats(0, int(np.count_nonzero(s == 0)))
        else:
            values, stats = _on_grid(values, s, update.f, exponents[chunk.tensor_index])
        return values if write else None, stats

    return journal.rewrite(spans, moved)


def max_abs(span: Span) -> float:
    """Find the largest |w| of a span; nan or inf if it holds one."""
    return float(np.max([np.max(np.abs(chunk.part)) for chunk in chunks_of([span])]))


def round_to_quantum(span: Span, quantum: float) -> None:
    """Round the weights, half to even, to multiples of a power of two, in place; -0 becomes +0.

    A weight of -0 would come back from perturb and restore as +0: other bits, another digest.
    Each chunk is written once, so that an interrupt leaves rounded and unrounded weights only.
    """
    for part, *_ in chunks_of([span]):
        values = part * part.dtype.type(1.0 / quantum)
        np.rint(values, out=values)
        values *= part.dtype.type(quantum)
        values += part.dtype.type(0.0)
        part[...] = values


def _perturbed(
    chunk: Chunk, terms: Sequence[tuple[int, float]], direction: Direction
) -> npt.NDArray[Any]:
    """Return a copy of a chunk, moved along each term."""
    values: npt.NDArray[Any] = chunk.part.copy()
    for seed, scale in terms:
        z = direction(seed, chunk.tensor_index, values.size, chunk.start)
        values += z.reshape(values.shape).astype(values.dtype) * values.dtype.type(scale)
    return values


def _sums(chunk: Chunk, update: FixedPointUpdate) -> npt.NDArray[np.int64]:
    """s_i = sum of a_j z_ji, in the chunk's shape."""
    s = np.zeros(chunk.part.size, dtype=np.int64)
    for seed, a in zip(update.seeds.tolist(), update.a.tolist(), strict=True):
        s += a * rademacher(seed, chunk.tensor_index, s.size, chunk.start).astype(np.int64)
    return s.reshape(chunk.part.shape)


def _on_grid(
    part: npt.NDArray[Any], s: npt.NDArray[np.int64], f: int, e: int
) -> tuple[npt.NDArray[np.float64], ReplayStats]:
    """Return (k + rne(s * 2^(f - e))) * 2^e, and what is to be known of it."""
    increment = shift_round(s, e - f)
    steps = np.rint(np.ldexp(part.astype(np.float64), -e))
    on_grid = np.abs(steps) < 2.0**30  # false for nan as well
    k = np.where(on_grid, steps, 0.0).astype(np.int64) + increment
    stats = ReplayStats(
        max_abs_k=int(np.max(np.where(on_grid, np.abs(k), OFF_GRID))),
        zero_increments=int(np.count_nonzero(increment == 0)),
    )
    return np.ldexp(k.astype(np.float64), e), stats


def shift_round(s: npt.NDArray[np.int64], h: int) -> npt.NDArray[np.int64]:
    """Compute rne(s * 2^-h) for integers |s| < 2^31, whatever h; rne is half to even.

    Left shifts stop at 32, where any s but 0 is far outside of the grid already.
    """
    if h <= 0:
        return s << min(-h, 32)
    if h >= 32:  # |s| * 2^-32 < 1/2
        return np.zeros_like(s)
    return (s + (1 << (h - 1)) - 1 + ((s >> h) & 1)) >> h


def plain_factor(f: int) -> float:
    """Return 2^(f + 30), the second step of fl(s) * 2^f; together they stay in fp32's range."""
    return math.ldexp(1.0, f + 30)


def _scaled(s: npt.NDArray[np.int64], f: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Compute fl(s) * 2^f, in fp32 at least: fp16 holds neither s nor 2^-30."""
    wide = np.result_type(dtype, np.float32)
    scaled: npt.NDArray[Any] = s.astype(wide)
    scaled *= wide.type(2.0**-30)
    scaled *= wide.type(plain_factor(f))
    return scaled
