"""The generator behind all that a run draws: Philox4x32-10, with only NumPy.

Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC'11: counter-based and integer-only,
so that any element can be drawn alone.  Seeds are not secrecy: who holds the run seed can rebuild
every direction.
"""

from __future__ import annotations

import operator
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

BLOCKS_AT_ONCE: Final = 1 << 11  # scratch of 16 KiB: in cache, and never a mapping of its own
MASK32: Final = 0xFFFFFFFF
_MULTIPLIERS: Final = (0xD2511F53, 0xCD9E8D57)
_WEYL: Final = (0x9E3779B9, 0xBB67AE85)

Words = npt.NDArray[np.uint32]


class Purpose(IntEnum):
    """The last counter word, which keeps the uses of one run seed apart."""

    DIRECTION_SEED = 0x5A4F5345  # "ZOSE"
    COHORT = 0x434F484F  # "COHO"
    PARTITION = 0x50415254  # "PART"
    INITIAL_WEIGHTS = 0x494E4954  # "INIT"
    SHUFFLE = 0x53485546  # "SHUF"
    CANDIDATE_SEEDS = 0x4B534544  # "KSED"
    WIDTH = 0x57494454  # "WIDT"


def philox4x32(
    counter: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike, npt.ArrayLike],
    key: tuple[int, int],
) -> tuple[Words, Words, Words, Words]:
    """Encrypt counters with Philox4x32-10.

    Args:
        counter: four words, each an integer or an array in [0, 2^32); they broadcast.
        key: two words in [0, 2^32).

    Returns:
        Four uint32 arrays of the counters' broadcast shape.
    """
    words = np.broadcast_arrays(*(np.asarray(word, dtype=np.uint64) for word in counter))
    found = philox_rounds(tuple(word.reshape(-1) for word in words), key)
    shape = words[0].shape
    return tuple(w.astype(np.uint32).reshape(shape) for w in found)


def philox_rounds(counter: tuple[Any, ...], key: tuple[int, int]) -> tuple[Any, ...]:
    """Do Philox's rounds on Python integers, which are fast for a single block, or on arrays."""
    x0, x1, x2, x3 = counter
    k0, k1 = key
    for _ in range(10):
        product0, product1 = _MULTIPLIERS[0] * x0, _MULTIPLIERS[1] * x2
        x0, x1, x2, x3 = (
            (product1 >> 32) ^ x1 ^ k0,
            product1 & MASK32,
            (product0 >> 32) ^ x3 ^ k1,
            product0 & MASK32,
        )
        k0, k1 = (k0 + _WEYL[0]) & MASK32, (k1 + _WEYL[1]) & MASK32
    return x0, x1, x2, x3


def random_words(run_seed: int, purpose: Purpose, n: int, *, a: int = 0, b: int = 0) -> Words:
    """Draw n words for a purpose other than directions, from counters (block, a, b, purpose).

    Args:
        run_seed: the run's seed, in [0, 2^64).
        purpose: what the n words are for.
        a, b: free counter words, for instance round and client, in [0, 2^32).

    Returns:
        uint32 array of shape (n,).
    """
    words = np.empty(((n + 3) // 4, 4), dtype=np.uint32)
    key, fixed = split_seed(run_seed), (check_range("a", a, 32), check_range("b", b, 32), purpose)
    for start in range(0, len(words), BLOCKS_AT_ONCE):
        part = words[start : start + BLOCKS_AT_ONCE]
        blocks = np.arange(start, start + len(part), dtype=np.uint64)
        np.stack(philox4x32((blocks, *fixed), key), axis=-1, out=part)
    return words.reshape(-1)[:n]


def random_uniform(
    run_seed: int, purpose: Purpose, n: int, *, a: int = 0, b: int = 0
) -> npt.NDArray[np.float64]:
    """Draw n uniforms strictly between 0 and 1, each from one word; see :func:`random_words`."""
    words = random_words(run_seed, purpose, n, a=a, b=b).astype(np.float64)
    return np.multiply(words + 0.5, 2.0**-32, dtype=np.float64)


def random_permutation(
    run_seed: int, purpose: Purpose, n: int, *, a: int = 0, b: int = 0
) -> npt.NDArray[np.int64]:
    """Draw a permutation of 0 .. n-1; the first of :func:`random_permutations`."""
    return random_permutations(run_seed, purpose, n, rows=1, a=a, b=b).reshape(n)


def random_permutations(
    run_seed: int, purpose: Purpose, n: int, *, rows: int, a: int = 0, b: int = 0
) -> npt.NDArray[np.int64]:
    """Draw permutations of 0 .. n-1, each the stable order of n 64-bit keys.

    Args:
        run_seed, purpose, a, b: see :func:`random_words`.
        n: length of each.
        rows: how many; row r does not depend on the rows after it.

    Returns:
        int64 array of shape (rows, n).
    """
    words = random_words(run_seed, purpose, 2 * n * rows, a=a, b=b).astype(np.uint64)
    keys = words[0::2] | words[1::2] << np.uint64(32)
    order: npt.NDArray[np.int64] = np.argsort(keys.reshape(rows, n), axis=1, kind="stable")
    return order


def split_seed(seed: int) -> tuple[int, int]:
    """Split a 64-bit seed into Philox's key words (low, high)."""
    seed = check_range("seed", seed, 64)
    return seed & MASK32, seed >> 32


def check_range(name: str, value: int, bits: int) -> int:
    """Return an argument as a Python integer.

    Raises:
        ValueError: it is not an integer in [0, 2^bits).
    """
    try:
        whole = operator.index(value)  # 1.5 cut down to 1 would be masking
    except TypeError:
        raise ValueError(f"{name} must be an integer in [0, 2^{bits}), got {value!r}") from None
    if not 0 <= whole < 1 << bits:
        raise ValueError(f"{name} must be in [0, 2^{bits}), got {value}")
    return whole
