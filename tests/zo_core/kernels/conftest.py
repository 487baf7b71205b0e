"""Weights and lists of updates that the kernel tests share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from zo_core.fixed_point import FixedPointUpdate

Arrays = list[npt.NDArray[np.float32]]

ODD_SIZES = (0, 1, 31, 32, 33, 127, 128, 129, 2047, 2048, 2049, 70_001)


def make_weights(sizes: Sequence[int] = ODD_SIZES, e: int = -26) -> Arrays:
    """Weights on the grid 2^e, the same for each call."""
    rng = np.random.default_rng(1)
    return [np.ldexp(rng.integers(-(2**23), 2**23, n).astype(np.float32), e) for n in sizes]


def make_update(n: int, f: int) -> FixedPointUpdate:
    """A list of n updates whose |a| sum to 2^30 at most."""
    rng = np.random.default_rng(n)
    largest = 2**30 // max(n, 1)
    return FixedPointUpdate(
        seeds=rng.integers(0, 2**64, n, dtype=np.uint64),
        a=rng.integers(-largest, largest + 1, n).astype(np.int32),
        f=f,
    )


def bits_equal(first: Arrays, second: Arrays) -> bool:
    """Tell whether two lists of weights are the same to the bit (-0 is not +0)."""
    return all(x.tobytes() == y.tobytes() for x, y in zip(first, second, strict=True))


@pytest.fixture
def weights() -> Callable[..., Arrays]:
    return make_weights


@pytest.fixture
def update() -> Callable[[int, int], FixedPointUpdate]:
    return make_update


@pytest.fixture
def same_bits() -> Callable[[Arrays, Arrays], bool]:
    return bits_equal
