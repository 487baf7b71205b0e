"""The kernels in NumPy: written to be read, and the reference that the fast ones must equal."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zo_core.fixed_point import FixedPointUpdate
from zo_core.parameters import CHUNK, Piece
from zo_core.stream import rademacher

Direction = Callable[[int, int, int, int], npt.NDArray[Any]]  # (seed, tensor, n, start) -> z

OFF_GRID = 1 << 62  # max_abs_k of a piece with a weight that is no k * 2^e at all


class ReplayStats(NamedTuple):
    """What a replay did, or would do, to one piece."""

    max_abs_k: int  # largest |k'| on the grid, OFF_GRID for a nan, inf or the like; 0 in plain mode
    zero_increments: int  # elements whose increment rounded to zero


def prepare(pieces: Sequence[Piece]) -> Sequence[Piece]:
    """Return the pieces as they are; other kernels make their tables here."""
    return pieces


def perturb(
    pieces: Sequence[Piece],
    terms: Sequence[tuple[int, float]],
    direction: Direction,
    threads: int,
) -> None:
    """Add scale * z(seed) for each (seed, scale) of terms, one after the other, in place."""
    for piece in pieces:
        for part, start in _chunks(piece):
            for seed, scale in terms:
                z = direction(seed, piece.tensor_index, part.size, start).reshape(part.shape)
                part += z.astype(part.dtype) * part.dtype.type(scale)


def replay(
    pieces: Sequence[Piece],
    update: FixedPointUpdate,
    exponents: Sequence[int] | None,
    write: bool,
    threads: int,
) -> list[ReplayStats]:
    """Apply a round's list in one pass (zo-grid/1, rules 7 and 8), or only look what it would do.

    Args:
        pieces: stretches of fp32 weights (any floating dtype in plain mode).
        update: the list as integers.
        exponents: e of each tensor, by tensor number; None for plain mode, where the sum of the
            list is added with one rounding, w + fl(s) * 2^f.
        write: False leaves the weights alone.
        threads: not used here.

    Returns:
        One ReplayStats a piece.
    """
    return [_replay_piece(piece, update, exponents, write) for piece in pieces]


def max_abs(piece: Piece) -> float:
    """Find the largest |w| of a piece; nan or inf if it holds one."""
    return float(np.max([np.max(np.abs(part)) for part, _ in _chunks(piece)]))


def round_to_quantum(piece: Piece, quantum: float) -> None:
    """Round the weights, half to even, to multiples of a power of two, in place; -0 becomes +0.

    A weight of -0 would come back from perturb and restore as +0: other bits, another digest.
    """
    for part, _ in _chunks(piece):
        part *= part.dtype.type(1.0 / quantum)
        np.rint(part, out=part)
        part *= part.dtype.type(quantum)
        part += part.dtype.type(0.0)


def _replay_piece(
    piece: Piece, update: FixedPointUpdate, exponents: Sequence[int] | None, write: bool
) -> ReplayStats:
    largest = zeros = 0
    for part, start in _chunks(piece):
        s = np.zeros(part.size, dtype=np.int64)
        for seed, a in zip(update.seeds.tolist(), update.a.tolist(), strict=True):
            s += a * rademacher(seed, piece.tensor_index, part.size, start).astype(np.int64)
        s = s.reshape(part.shape)
        if exponents is None:
            zeros += int(np.count_nonzero(s == 0))
            if write:
                part[...] = part + _scaled(s, update.f, part.dtype)
            continue
        e = exponents[piece.tensor_index]
        increment = shift_round(s, e - update.f)
        steps = np.rint(np.ldexp(part.astype(np.float64), -e))
        on_grid = np.abs(steps) < 2.0**30  # false for nan as well
        k = np.where(on_grid, steps, 0.0).astype(np.int64) + increment
        largest = max(largest, int(np.max(np.where(on_grid, np.abs(k), OFF_GRID))))
        zeros += int(np.count_nonzero(increment == 0))
        if write:
            part[...] = np.ldexp(k.astype(np.float64), e)
    return ReplayStats(largest, zeros)


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


def _chunks(piece: Piece) -> list[tuple[Any, int]]:
    """Views of at most CHUNK elements with the stream position of their first element."""
    if piece.array.ndim != 1:
        return [(piece.array, piece.start)]
    return [
        (piece.array[offset : offset + CHUNK], piece.start + offset)
        for offset in range(0, piece.array.size, CHUNK)
    ]
