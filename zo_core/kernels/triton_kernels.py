"""The device code of :mod:`zo_core.kernels.triton_ops`; tiles are flat, 128 elements a block.

Each lane computes a stream block of its own.  Its four words are joined to one row, and their bits
are spread over the elements after that: in a layout of (blocks, 128) every lane of a warp would
compute the same block.

Loops are written with while: under NumPy 2.5 the interpreter of Triton 3.6 cannot take a run-time
scalar for the end of a range.
"""
# mypy: ignore-errors
# ruff: noqa: N803, PLR0917

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def words(block, tensor, k0, k1):
    """Philox4x32-10 of counters (block, tensor, 0): four uint32 words for each block."""
    x0 = block.to(tl.uint32)
    x1 = (block >> 32).to(tl.uint32)
    x2 = tensor.to(tl.uint32) + x0 * 0
    x3 = x0 * 0
    for _ in tl.static_range(10):
        p0 = x0.to(tl.uint64) * 0xD2511F53
        p1 = x2.to(tl.uint64) * 0xCD9E8D57
        x0 = (p1 >> 32).to(tl.uint32) ^ x1 ^ k0
        x1 = p1.to(tl.uint32)
        x2 = (p0 >> 32).to(tl.uint32) ^ x3 ^ k1
        x3 = p0.to(tl.uint32)
        k0 = k0 + 0x9E3779B9
        k1 = k1 + 0xBB67AE85
    return x0, x1, x2, x3


@triton.jit
def negative(block, tensor, k0, k1, BLOCKS: tl.constexpr):
    """Tell which elements of BLOCKS stream blocks have z = -1, flat and in order."""
    x0, x1, x2, x3 = words(
        block, tensor, k0.to(tl.uint32, bitcast=True), k1.to(tl.uint32, bitcast=True)
    )
    row = tl.reshape(tl.join(tl.join(x0, x2), tl.join(x1, x3)), (BLOCKS, 4))
    bits = (row[:, :, None] >> tl.arange(0, 32).to(tl.uint32)[None, None, :]) & 1
    return tl.reshape(bits, (BLOCKS * 128,)) != 0


@triton.jit
def place(row_of, rows, finished, number, tiles, ALIGNED: tl.constexpr, SPAN: tl.constexpr):
    """Find a program's row; return weights, size, start, tensor, and its first stream block."""
    program = tl.program_id(0)
    row = rows + tl.load(row_of + program) * 5
    w = tl.load(row).to(tl.pointer_type(tl.float32))
    # a launch that is repeated after an interrupt has no elements left
    size = tl.where(tl.load(finished + program) < number, tl.load(row + 1), 0)
    start = tl.load(row + 2)
    if ALIGNED:  # lets a lane load several elements at once
        w = tl.multiple_of(w, 16)
        size = tl.multiple_of(size, 16)
        start = tl.multiple_of(start, 128)
    first = start // 128 + (program - tl.load(row + 4)) * tiles * SPAN
    return w, size, start, tl.load(row + 3), first


@triton.jit(do_not_specialize=["number", "k0", "k1", "m0", "m1", "tiles"])
def perturb(
    row_of, rows, finished, number, k0, k1, scale, m0, m1, second, tiles,
    TERMS: tl.constexpr, BLOCKS: tl.constexpr, SPAN: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    """w += scale * z(k), then, with two terms, w += second * z(m)."""
    w, size, start, tensor, first = place(row_of, rows, finished, number, tiles, ALIGNED, SPAN)
    tile = tiles * 0
    while tile < tiles * (SPAN // BLOCKS):
        block = first + tile * BLOCKS + tl.arange(0, BLOCKS)
        at = (first + tile * BLOCKS) * 128 - start + tl.arange(0, BLOCKS * 128)
        inside = (at >= 0) & (at < size)
        value = tl.load(w + at, mask=inside, other=0.0)
        minus = negative(block, tensor, k0, k1, BLOCKS)
        value += tl.where(minus, -scale, scale)
        if TERMS == 2:
            minus = negative(block, tensor, m0, m1, BLOCKS)
            value += tl.where(minus, -second, second)
        tl.store(w + at, value, mask=inside)
        tile += 1
    tl.store(finished + tl.program_id(0), number)


@triton.jit
def shift_round(s, h):
    """rne(s * 2^-h) for int64 s of int32 size, whatever h."""
    right = tl.minimum(tl.maximum(h, 1), 31)
    left = tl.minimum(tl.maximum(-h, 0), 32)
    one = right * 0 + 1
    rounded = (s + ((one << (right - 1)) - 1) + ((s >> right) & 1)) >> right
    small = tl.where(h >= 32, rounded * 0, rounded)
    return tl.where(h <= 0, s << left, small)


@triton.jit
def steps(value, per_quantum):
    """Return rne(w * 2^-e) as int64, and whether it is on the grid at all; no rint in Triton."""
    exact = value.to(tl.float64) * per_quantum
    on_grid = tl.abs(exact) < 1073741824.0
    exact = tl.where(on_grid, exact, 0.0)
    below = tl.floor(exact)
    k = below.to(tl.int64)
    rest = exact - below
    up = (rest > 0.5) | ((rest == 0.5) & ((k & 1) != 0))
    return k + up.to(tl.int64), on_grid


@triton.jit(do_not_specialize=["number", "n", "tiles"])
def replay(
    row_of, rows, finished, number, keys, a, n, scales, stats, tiles,
    GRID: tl.constexpr, WRITE: tl.constexpr, SPAN: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    """Apply a list of n updates; rules 7 and 8 of zo-grid/1, or plain mode."""
    w, size, start, tensor, first = place(row_of, rows, finished, number, tiles, ALIGNED, SPAN)
    member = tl.load(row_of + tl.program_id(0))
    per_quantum = tl.load(scales + member * 3)
    quantum = tl.load(scales + member * 3 + 1)
    h = tl.load(scales + member * 3 + 2).to(tl.int64)
    largest = size * 0
    zeros = size * 0
    tile = tiles * 0
    while tile < tiles:
        block = first + tile * SPAN + tl.arange(0, SPAN)
        at = (first + tile * SPAN) * 128 - start + tl.arange(0, SPAN * 128)
        inside = (at >= 0) & (at < size)
        value = tl.load(w + at, mask=inside, other=0.0)
        s = tl.zeros((SPAN * 128,), dtype=tl.int32)
        j = n * 0
        while j < n:
            step = tl.load(a + j)
            minus = negative(block, tensor, tl.load(keys + 2 * j), tl.load(keys + 2 * j + 1), SPAN)
            s += tl.where(minus, -step, step)
            j += 1
        if GRID:
            d = shift_round(s.to(tl.int64), h)
            k, on_grid = steps(value, per_quantum)
            moved = k + d
            reach = tl.where(on_grid, tl.abs(moved), 4611686018427387904)
            largest = tl.maximum(largest, tl.max(tl.where(inside, reach, 0), axis=0))
            value = (moved.to(tl.float64) * quantum).to(tl.float32)
        else:
            d = s.to(tl.int64)
            # In float64 the scaling is exact, and the rounding to float32 keeps FMA away.
            scaled = s.to(tl.float32).to(tl.float64) * 9.313225746154785e-10 * quantum
            value += scaled.to(tl.float32)
        zeros += tl.sum(((d == 0) & inside).to(tl.int64), axis=0)
        if WRITE:
            tl.store(w + at, value, mask=inside)
        tile += 1
    tl.atomic_max(stats + member * 2, largest)
    tl.atomic_add(stats + member * 2 + 1, zeros)
    tl.store(finished + tl.program_id(0), number)
