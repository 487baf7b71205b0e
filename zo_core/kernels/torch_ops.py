"""The kernels in plain torch operations: any device, any floating dtype, in bounded chunks.

Used for tensors that NumPy cannot view (bfloat16, accelerators) where there is no faster kernel.
float32, float16 and float64 get the bits of :mod:`zo_core.kernels.numpy_ref`.  bfloat16, which
NumPy lacks, is worked on by the same rules: the scale is rounded to bfloat16, each sum is formed in
float32 and rounded once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from zo_core.directions import BLOCK, rademacher
from zo_core.fixed_point import FixedPointUpdate
from zo_core.kernels.numpy_ref import OFF_GRID, Direction, plain_factor
from zo_core.kernels.resumable_pass import NO_STATS, Chunk, Journal, ReplayStats, chunks_of
from zo_core.parameters import Span
from zo_core.philox import split_seed

_MASK32 = 0xFFFFFFFF


def prepare(spans: Sequence[Span]) -> list[Span]:
    """View spans of NumPy arrays, which come only when this kernel is forced, as torch tensors."""
    return [
        Span(torch.from_numpy(span.array), span.tensor_index, span.start)
        if isinstance(span.array, np.ndarray)
        else span
        for span in spans
    ]


def perturb(
    spans: Sequence[Span],
    terms: Sequence[tuple[int, float]],
    direction: Direction,
    threads: int,
    *,
    journal: Journal,
) -> None:
    """Add scale * z(seed) for each (seed, scale) of terms, one after the other, in place."""

    def moved(chunk: Chunk) -> tuple[torch.Tensor, ReplayStats]:
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
    """Apply a list of updates in one pass; see :func:`zo_core.kernels.numpy_ref.replay`."""

    def moved(chunk: Chunk) -> tuple[torch.Tensor | None, ReplayStats]:
        s = _sums(chunk, update)
        values = _perturbed(chunk, back, rademacher)
        if exponents is None:
            values = _added(values, s, update.f)
            stats = ReplayStats(0, int((s == 0).sum()))
        else:
            values, stats = _on_grid(values, s, update.f, int(exponents[chunk.tensor_index]))
        return values if write else None, stats

    return journal.rewrite(spans, moved)


def max_abs(span: Span) -> float:
    """Find the largest |w| of a span; nan or inf if it holds one."""
    return float(torch.stack([chunk.part.abs().max() for chunk in chunks_of([span])]).max())


def round_to_quantum(span: Span, quantum: float) -> None:
    """Round the weights, half to even, to multiples of a power of two, in place; -0 becomes +0."""
    for part, *_ in chunks_of([span]):
        part.copy_(part.mul(1.0 / quantum).round_().mul_(quantum).add_(0.0))


def signs(seed: int, tensor_index: int, n: int, start: int, device: torch.device) -> torch.Tensor:
    """Draw elements start .. start + n of a Rademacher direction as int64 of 0 (+1) and 1 (-1).

    Args:
        seed: the direction's seed, in [0, 2^64).
        tensor_index: the tensor's number, in [0, 2^32).
        n: number of elements; scratch memory is some 20 bytes for each.
        start: first element.
        device: where to draw.
    """
    first, skip = divmod(start, BLOCK)
    blocks = torch.arange(first, (start + n + BLOCK - 1) // BLOCK, device=device)
    words = torch.stack(_philox(blocks, tensor_index, split_seed(seed)), dim=1)
    bits = words[:, :, None] >> torch.arange(32, device=device)
    return bits.bitwise_and_(1).reshape(-1)[skip : skip + n]


def _philox(
    blocks: torch.Tensor, tensor_index: int, key: tuple[int, int]
) -> tuple[torch.Tensor, ...]:
    """Philox4x32-10 of counters (block, tensor, 0), words in int64."""
    x0, x1 = blocks & _MASK32, blocks >> 32
    x2, x3 = torch.full_like(blocks, tensor_index), torch.zeros_like(blocks)
    k0, k1 = key
    for _ in range(10):
        high0, low0 = _multiply(x0, 0xD2511F53)
        high1, low1 = _multiply(x2, 0xCD9E8D57)
        x0, x1, x2, x3 = high1 ^ x1 ^ k0, low1, high0 ^ x3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) & _MASK32, (k1 + 0xBB67AE85) & _MASK32
    return x0, x1, x2, x3


def _multiply(x: torch.Tensor, factor: int) -> tuple[torch.Tensor, torch.Tensor]:
    """High and low word of a 64-bit product, by halves of the factor: int64 holds 63 bits."""
    upper, lower = x * (factor >> 16), x * (factor & 0xFFFF)  # below 2^48
    high = (upper + (lower >> 16)) >> 16
    low = (((upper & 0xFFFF) << 16) + lower) & _MASK32
    return high, low


def _draw(direction: Direction, seed: int, chunk: Chunk) -> torch.Tensor:
    """Return z for a chunk, in its shape and dtype; all but signs are drawn on the host."""
    part, tensor_index, start = chunk.part, chunk.tensor_index, chunk.start
    if direction is rademacher:
        bits = signs(seed, tensor_index, part.numel(), start, part.device)
        z = bits.mul_(-2).add_(1).to(part.dtype)
    else:
        drawn = torch.from_numpy(direction(seed, tensor_index, part.numel(), start))
        z = drawn.to(part.dtype).to(part.device)
    return z.reshape(part.shape)


def _perturbed(
    chunk: Chunk, terms: Sequence[tuple[int, float]], direction: Direction
) -> torch.Tensor:
    """Return a copy of a chunk, moved along each term."""
    values: torch.Tensor = chunk.part.clone()
    for seed, scale in terms:
        values += _draw(direction, seed, chunk).mul_(_rounded(scale, values.dtype))
    return values


def _sums(chunk: Chunk, update: FixedPointUpdate) -> torch.Tensor:
    """s_i = sum of a_j z_ji, in int64."""
    part = chunk.part
    s = torch.full((part.numel(),), int(update.a.sum(dtype=np.int64)), device=part.device)
    for seed, a in zip(update.seeds.tolist(), update.a.tolist(), strict=True):
        drawn = signs(seed, chunk.tensor_index, part.numel(), chunk.start, part.device)
        s -= drawn.mul_(2 * a)
    return s.reshape(part.shape)


def _shift_round(s: torch.Tensor, h: int) -> torch.Tensor:
    """Compute rne(s * 2^-h) as :func:`zo_core.kernels.numpy_ref.shift_round` does."""
    if h <= 0:
        return s << min(-h, 32)
    if h >= 32:
        return torch.zeros_like(s)
    return (s + ((s >> h) & 1) + ((1 << (h - 1)) - 1)) >> h


def _on_grid(
    part: torch.Tensor, s: torch.Tensor, f: int, e: int
) -> tuple[torch.Tensor, ReplayStats]:
    """Return (k + rne(s * 2^(f - e))) * 2^e, and what is to be known of it."""
    increment = _shift_round(s, e - f)
    steps = _ldexp(part, -e).round_()
    on_grid = steps.abs() < 2.0**30  # false for nan as well
    k = torch.where(on_grid, steps, torch.zeros_like(steps)).to(torch.int64).add_(increment)
    largest = int(k.abs().max()) if bool(on_grid.all()) else OFF_GRID
    return _ldexp(k.to(part.dtype), e), ReplayStats(largest, int((increment == 0).sum()))


def _ldexp(x: torch.Tensor, e: int) -> torch.Tensor:
    """x * 2^e in two steps, each of which fp32 holds."""
    return x * 2.0 ** (e // 2) * 2.0 ** (e - e // 2)


def _added(part: torch.Tensor, s: torch.Tensor, f: int) -> torch.Tensor:
    """Compute w + fl(s) * 2^f in fp32 at least."""
    wide = torch.promote_types(part.dtype, torch.float32)
    return part.to(wide) + s.to(wide).mul_(2.0**-30).mul_(_rounded(plain_factor(f), wide))


def _rounded(value: float, dtype: torch.dtype) -> float:
    """Round to a dtype, so that no device multiplies by more digits than another."""
    return float(torch.tensor(value, dtype=torch.float64).to(dtype))
