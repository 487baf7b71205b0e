"""The scalars that a client without torch should compute: dL of a float64 forward, in the manifest.

Export computes them on a few fixed items, at the exported weights; the client computes the same on
its own library and processor and compares.  Needs NumPy alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from zo_core.directions import gaussian
from zo_core.loss.noise import SEED_ROUND
from zo_core.seeds import derive_seed, derive_seeds

DIRECTIONS: Final = 4
ITEMS: Final = 4
EPSILON: Final = 7.5e-5  # epsilon * tau of the paper, 1e-4 * 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """dL at an exported model's weights, by a float64 forward."""

    items: int  # of the batch, see reference_batch
    epsilon: float  # size of the perturbation; tau is 1
    differences: tuple[float, ...]  # dL, one for each of reference_seeds
    reason: str | None = None  # why there are none

    @property
    def seeds(self) -> list[int]:
        """The directions' seeds."""
        return reference_seeds(len(self.differences))


def reference_seeds(directions: int) -> list[int]:
    """Return the seeds of the first directions."""
    return derive_seeds(0, round_index=SEED_ROUND, client_id=0, directions=directions)


def reference_batch(
    shape: tuple[int, ...], num_classes: int, items: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Draw inputs from the stream, standard normal, with labels in turn; the same everywhere.

    Args:
        shape: of one item.
        num_classes: labels are below it.
        items: how many.
    """
    seed = derive_seed(0, round_index=SEED_ROUND, client_id=1, direction=0)
    drawn = gaussian(seed, 0, items * math.prod(shape)).astype(np.float32)  # exact: 20 bits
    return drawn.reshape(items, *shape), np.arange(items, dtype=np.int64) % num_classes
