"""Write kernels.txt: what the reference gives for fixed inputs, so that no change moves a bit.

Run it by hand, only together with a new version of the stream or of the grid rule:

    python tests/golden/write_kernels.py

A line is one case; ``cases()`` is the list of them.  Inputs follow from the line by the rules
below, which ``tests/aarch64/golden.c`` repeats: the C kernels can be checked without Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zo_core.directions import gaussian_integers, rademacher
from zo_core.fixed_point import FixedPointUpdate
from zo_core.kernels import numpy_ref
from zo_core.kernels.resumable_pass import Journal
from zo_core.parameters import Span

GOLDEN = Path(__file__).with_name("kernels.txt")
PLAIN = 999  # in the place of e: plain mode


def seed_of(j: int) -> int:
    """Seed of a case's direction j."""
    return (j + 1) * 0x9E3779B97F4A7C15 % 2**64


def terms_of(n: int) -> list[tuple[int, float]]:
    """Terms of a perturb case."""
    return [(seed_of(j), (-1) ** j * (j + 1) * 2.0**-12) for j in range(n)]


def update_of(n: int, f: int) -> FixedPointUpdate:
    """List of a replay case; the sum of |a| is at most 2^30."""
    m = 2**30 // n
    seeds = [seed_of(j) for j in range(n)]
    a = [(seed >> 33) % (2 * m + 1) - m for seed in seeds]
    return FixedPointUpdate(np.array(seeds, dtype=np.uint64), np.array(a, dtype=np.int32), f)


def weights_of(count: int, e: int) -> npt.NDArray[np.float32]:
    """Weights k * 2^e of a case, -2^23 <= k < 2^23."""
    k = (np.arange(count, dtype=np.uint64) * 2654435761 % 2**32 >> 8).astype(np.int64) - 2**23
    return np.ldexp(k.astype(np.float32), e)


def checksum(weights: npt.NDArray[np.float32]) -> int:
    """Sum of (bits + 1) * (i * odd + 1) over the weights, modulo 2^64: depends on every place."""
    bits = weights.view(np.uint32).astype(np.uint64) + np.uint64(1)
    place = np.arange(weights.size, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
    return int(np.sum(bits * place, dtype=np.uint64))


def cases() -> Iterator[str]:
    """Compute all lines from the reference."""
    for seed, tensor, start in [(0, 0, 0), (2**64 - 1, 2**32 - 1, 2**39), (seed_of(4), 7, 2**62)]:
        bits = np.packbits(rademacher(seed, tensor, 128, start) < 0, bitorder="little")
        yield f"signs {seed:#x} {tensor} {start} {bits.tobytes().hex()}"
        drawn = " ".join(str(m) for m in gaussian_integers(seed, tensor, 8, start))
        yield f"gaussian {seed:#x} {tensor} {start} {drawn}"
    for tensor, start, count in [(0, 0, 1), (3, 31, 97), (2**32 - 1, 2**39 - 77, 5001)]:
        for n in (1, 2):
            weights = weights_of(count, -26)
            numpy_ref.perturb(
                [Span(weights, tensor, start)], terms_of(n), rademacher, 1, journal=Journal()
            )
            yield f"perturb {tensor} {start} {count} {n} {checksum(weights):#x}"
    for start, count, n in [(0, 129, 1), (127, 2049, 8), (2**39 - 5, 20001, 30), (1, 700, 150)]:
        for h in (-33, -1, 0, 1, 7, 16, 30, 31, 32):
            yield _replay_case((start, count, n), e=-24, f=-24 - h)
        yield _replay_case((start, count, n), e=-130, f=-146)
        yield _replay_case((start, count, n), e=PLAIN, f=-45)


def _replay_case(shape: tuple[int, int, int], *, e: int, f: int) -> str:
    tensor, (start, count, n) = 1, shape
    weights = weights_of(count, -26 if e == PLAIN else e)
    exponents = None if e == PLAIN else [e] * (tensor + 1)
    piece = Span(weights, tensor, start)
    with np.errstate(over="ignore"):
        (stats,) = numpy_ref.replay([piece], update_of(n, f), exponents, True, 1, journal=Journal())
    return (
        f"replay {tensor} {start} {count} {n} {e} {f} "
        f"{stats.max_abs_k} {stats.zero_increments} {checksum(weights):#x}"
    )


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(cases()) + "\n")
