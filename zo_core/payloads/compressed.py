"""The payload of a sparse change: the largest of it, with their positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from zo_core.payloads.encoding import Payload, payload
from zo_core.payloads.fields import U32, Array, Floats
from zo_core.payloads.reader import PayloadError


def _num_positions(known: Any) -> int:
    return int(known.positions.size)


@payload(kind=10)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SparseChange(Payload):
    """Some of a change of the weights, and all buffers; the rest of the change is 0."""

    slot: U32  # client slot
    samples: U32  # n_k, the client's training samples
    count: U32  # P, weights of the model, below 2^32
    positions: Annotated[npt.NDArray[np.uint32], Array(np.uint32, "I")]  # (k,), ascending
    values: Annotated[Floats, Array(np.float32, _num_positions, counted=True)]  # (k,)
    # as they are after the client's training
    buffers: Annotated[Floats, Array(np.float32, "I", counted=True)]

    def require_consistent(self) -> None:
        """Refuse positions that are out of order or beyond the model."""
        positions = self.positions
        if (positions[1:] <= positions[:-1]).any() or (positions >= self.count).any():
            raise PayloadError(f"a change's positions must be ascending and below {self.count}")
