"""Which words of the stream the partition uses: purpose PARTITION, counters (block, a, b).

Word a is the client (the class, for item orders), so no client's draw depends on how many clients
there are; word b says what the draw is for.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from zo_core.philox import Purpose, philox4x32, split_seed


class Use(IntEnum):
    """Counter word b."""

    LABELS = 0  # word i decides the client's i-th label
    HOLDOUT = 1  # words 2i and 2i + 1 are the sort key of the client's i-th item
    ITEM_ORDER = 2  # the order in which class a hands out its items
    RESOURCES = 3  # which clients have high resources
    GAMMA = 4  # attempt t at a gamma draw is GAMMA + t; block c belongs to class c


def client_words(run_seed: int, clients: int, n: int, use: Use) -> npt.NDArray[np.uint32]:
    """Draw n words for each client; row k is ``random_words(..., n, a=k, b=use)``.

    Args:
        run_seed: the run's seed, in [0, 2^64).
        clients: number of rows.
        n: words of each row.
        use: what the words are for.

    Returns:
        uint32 array of shape (clients, n).
    """
    blocks = np.arange((n + 3) // 4, dtype=np.uint64)
    rows = np.arange(clients, dtype=np.uint64)[:, None]
    words = philox4x32((blocks, rows, use, Purpose.PARTITION), split_seed(run_seed))
    return np.stack(words, axis=-1).reshape(clients, -1)[:, :n]


def to_uniform(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """Map words to uniforms strictly between 0 and 1."""
    return (words.astype(np.float64) + 0.5) * 2.0**-32
