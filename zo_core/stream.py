"""Draw a direction (Rademacher, Gaussian, sphere) from a 64-bit seed, alike on every machine.

The standard is ``zo-stream/1``. This module is the readable reference, NumPy only.  The fast
kernels (C, Triton, torch ops) are checked against it to the bit.  The generator is Philox4x32-10
(Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC'11): counter-based, integer-only,
so that any element can be drawn without the others.  Seeds hide nothing: anyone with the run seed
can rebuild every direction.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

STREAM_VERSION: Final = "zo-stream/1"
BLOCK: Final = 128  # Rademacher elements from one Philox call: four words of 32 sign bits
GAUSSIAN_QUANTUM: Final = 2.0**-16  # a Gaussian or sphere element is an integer times this

_MULTIPLIERS: Final = (0xD2511F53, 0xCD9E8D57)
_WEYL: Final = (0x9E3779B9, 0xBB67AE85)
_MASK32: Final = 0xFFFFFFFF
_BLOCKS_AT_ONCE: Final = 1 << 11  # scratch of 16 KiB: in cache, and never a mapping of its own

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
    found = _ten_rounds(tuple(word.reshape(-1) for word in words), key)
    shape = words[0].shape
    return tuple(w.astype(np.uint32).reshape(shape) for w in found)


def _ten_rounds(counter: tuple[Any, ...], key: tuple[int, int]) -> tuple[Any, ...]:
    """Do Philox's rounds on Python integers, which are fast for a single block, or on arrays."""
    x0, x1, x2, x3 = counter
    k0, k1 = key
    for _ in range(10):
        product0, product1 = _MULTIPLIERS[0] * x0, _MULTIPLIERS[1] * x2
        x0, x1, x2, x3 = (
            (product1 >> 32) ^ x1 ^ k0,
            product1 & _MASK32,
            (product0 >> 32) ^ x3 ^ k1,
            product0 & _MASK32,
        )
        k0, k1 = (k0 + _WEYL[0]) & _MASK32, (k1 + _WEYL[1]) & _MASK32
    return x0, x1, x2, x3


def derive_seed(run_seed: int, *, round_index: int, client_id: int, direction: int) -> int:
    """Derive the 64-bit seed of one direction; every party derives it, nobody sends it.

    With several local steps of S directions each, ``direction`` is ``step * S + s``.

    Args:
        run_seed: the run's seed, in [0, 2^64).
        round_index: federated round, in [0, 2^32).
        client_id: the client's slot in the roster, in [0, 2^32).
        direction: number of the direction within the round, in [0, 2^32).

    Returns:
        An integer in [0, 2^64).

    Raises:
        ValueError: an argument is out of its range; nothing is ever masked.

    >>> hex(derive_seed(7, round_index=200, client_id=3, direction=0))
    '0x8b9904c82b75294'
    """
    counter = (
        _in_range("round_index", round_index, 32),
        _in_range("client_id", client_id, 32),
        _in_range("direction", direction, 32),
        int(Purpose.DIRECTION_SEED),
    )
    low, high, _, _ = _ten_rounds(counter, split_seed(_in_range("run_seed", run_seed, 64)))
    return int(low | high << 32)


def derive_seeds(
    run_seed: int, *, round_index: int, client_id: int, directions: int, step: int = 0
) -> list[int]:
    """Derive the seeds of a local step's S directions: numbers step * S to step * S + S - 1.

    Arguments, range and errors are those of :func:`derive_seed`.
    """
    numbers = range(step * directions, (step + 1) * directions)
    return [
        derive_seed(run_seed, round_index=round_index, client_id=client_id, direction=number)
        for number in numbers
    ]


def rademacher(seed: int, tensor_index: int, n: int, start: int = 0) -> npt.NDArray[np.int8]:
    """Draw elements ``start .. start + n`` of a Rademacher direction for one tensor.

    Args:
        seed: the direction's seed, in [0, 2^64).
        tensor_index: the tensor's number in the model's order, in [0, 2^32).
        n: number of elements, row-major.
        start: first element.

    Returns:
        int8 array of shape (n,), +1 where the stream's bit is 0 and -1 where it is 1.

    Raises:
        ValueError: an argument is out of its range.

    >>> rademacher(seed=1, tensor_index=0, n=8).tolist()
    [1, 1, 1, 1, -1, -1, -1, 1]
    """
    first, skip = divmod(_in_range("start", start, 63), BLOCK)
    last = (start + _in_range("n", n, 63) + BLOCK - 1) // BLOCK
    words = np.stack(_block_words(seed, tensor_index, first, last, kind=0), axis=-1)
    bits = np.unpackbits(words.astype("<u4").view(np.uint8).reshape(-1), bitorder="little")
    return np.int8(1) - np.int8(2) * bits[skip : skip + n].astype(np.int8)


def gaussian(seed: int, tensor_index: int, n: int, start: int = 0) -> npt.NDArray[np.float64]:
    """Draw elements of a standard normal direction, rounded to multiples of 2^-16 (Box-Muller).

    Arguments, range and errors are those of :func:`rademacher`; the result is float64.
    """
    integers = gaussian_integers(seed, tensor_index, n, start)
    return np.multiply(integers, GAUSSIAN_QUANTUM, dtype=np.float64)


def gaussian_integers(
    seed: int, tensor_index: int, n: int, start: int = 0
) -> npt.NDArray[np.int64]:
    """Draw the integers m of which the Gaussian direction is ``m * 2^-16``."""
    first, skip = divmod(_in_range("start", start, 63), 4)
    last = (start + _in_range("n", n, 63) + 3) // 4
    m = np.empty((last - first, 4), dtype=np.int64)
    for at in range(first, last, _BLOCKS_AT_ONCE):
        words = _block_words(seed, tensor_index, at, min(at + _BLOCKS_AT_ONCE, last), kind=1)
        m[at - first :][: len(words[0])] = box_muller(words).reshape(-1, 4)
    return m.reshape(-1)[skip : skip + n]


def box_muller(words: Sequence[Words]) -> npt.NDArray[np.int64]:
    """Turn blocks of four words into four Gaussian integers each, in the blocks' order."""
    uniforms = [(word + 0.5) * 2.0**-32 for word in words]
    z = np.empty((len(words[0]), 4))
    for pair in (0, 2):
        radius = np.sqrt(-2.0 * np.log(uniforms[pair]))
        angle = 2.0 * np.pi * uniforms[pair + 1]
        z[:, pair], z[:, pair + 1] = radius * np.cos(angle), radius * np.sin(angle)
    return np.rint(z.reshape(-1) * 2.0**16).astype(np.int64)


def sphere_factor(seed: int, sizes: Sequence[int], chunk: int = 1 << 14) -> float:
    """Compute sqrt(d) / |m|, which carries the Gaussian integers onto the sphere of norm sqrt(d).

    Args:
        seed: the direction's seed.
        sizes: number of elements of every tensor of the model, in stream order.
        chunk: elements drawn at a time; the sum is of integers, so it changes no bit.
    """
    square = 0
    for index, size in enumerate(sizes):
        for start in range(0, size, chunk):
            m = gaussian_integers(seed, index, min(chunk, size - start), start)
            square += int(np.dot(m, m))
    return math.sqrt(sum(sizes)) / math.sqrt(square)


def sphere(
    seed: int, tensor_index: int, n: int, start: int = 0, *, factor: float
) -> npt.NDArray[np.float64]:
    """Draw elements of a direction on the sphere of norm sqrt(d) (FedZO), multiples of 2^-16.

    ``factor`` is :func:`sphere_factor` of the same seed over the whole model.
    """
    return onto_sphere(gaussian_integers(seed, tensor_index, n, start), factor)


def onto_sphere(m: npt.NDArray[np.int64], factor: float) -> npt.NDArray[np.float64]:
    """Scale Gaussian integers by :func:`sphere_factor`, rounded to multiples of 2^-16."""
    on_sphere = np.rint(m.astype(np.float64) * (factor * 2.0**16))
    return np.multiply(on_sphere, GAUSSIAN_QUANTUM, dtype=np.float64)


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
    key, fixed = split_seed(run_seed), (_in_range("a", a, 32), _in_range("b", b, 32), purpose)
    for start in range(0, len(words), _BLOCKS_AT_ONCE):
        part = words[start : start + _BLOCKS_AT_ONCE]
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
    seed = check_seed(seed)
    return seed & _MASK32, seed >> 32


def check_seed(seed: int) -> int:
    """Return a direction's seed as a Python integer.

    Raises:
        ValueError: it is not an integer in [0, 2^64).
    """
    return _in_range("seed", seed, 64)


def _block_words(
    seed: int, tensor_index: int, first: int, last: int, *, kind: int
) -> tuple[Words, Words, Words, Words]:
    """Philox words of blocks first .. last of one tensor; kind 0 for signs, 1 for Gaussians."""
    blocks = np.arange(first, last, dtype=np.uint64)
    tensor = _in_range("tensor_index", tensor_index, 32)
    counter = (blocks & np.uint64(_MASK32), blocks >> np.uint64(32), tensor, kind)
    return philox4x32(counter, split_seed(seed))


def _in_range(name: str, value: int, bits: int) -> int:
    try:
        whole = operator.index(value)  # 1.5 cut down to 1 would be masking
    except TypeError:
        raise ValueError(f"{name} must be an integer in [0, 2^{bits}), got {value!r}") from None
    if not 0 <= whole < 1 << bits:
        raise ValueError(f"{name} must be in [0, 2^{bits}), got {value}")
    return whole
