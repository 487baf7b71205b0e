"""Payloads of single methods: FedKSeed's pool, hi + lo's result, ElasticZO's update, HeteroFL's
sub-network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from zo_core.payloads.encoding import Payload, payload
from zo_core.payloads.fields import U32, Array, DigestPrefix, Encoded, Field, Floats
from zo_core.payloads.reader import PayloadError, Reader, array_bytes

MAX_CANDIDATES = 1 << 16  # of a pool: a position is two bytes


class PoolField(Field):
    """A scalar for each candidate: the list of all, or pairs of a position and what is not 0.

    The header has both numbers; equal ones stand for the list, which is sent unless pairs are fewer
    bytes.
    """

    def __init__(self) -> None:
        super().__init__("II")

    def encode(self, value: Floats, known: Any) -> Encoded:
        """Return K and the number of scalars sent; the list, or positions and scalars."""
        (positions,) = np.nonzero(value)
        if 6 * positions.size >= 4 * value.size:
            return (value.size, value.size), (array_bytes(value, np.float32),)
        pairs = array_bytes(positions, np.uint16), array_bytes(value[positions], np.float32)
        return (value.size, positions.size), pairs

    def decode(self, numbers: Iterator[int], reader: Reader, known: Any) -> Floats:
        """Return the scalars of all candidates."""
        candidates, listed = next(numbers), next(numbers)
        if candidates > MAX_CANDIDATES or listed > candidates:
            raise PayloadError(
                "a pool has at most 2^16 candidates and no more pairs than candidates, "
                f"got {candidates} and {listed}"
            )
        if listed == candidates:
            return reader.array(candidates, np.float32)
        return _from_pairs(reader, listed, candidates)

    def scalar_bytes(self, value: Floats, known: Any) -> int:
        """Count all scalars, however they are sent."""
        return 4 * value.size


def _from_pairs(reader: Reader, listed: int, candidates: int) -> Floats:
    positions = reader.array(listed, np.uint16).astype(np.int64)
    values = reader.array(listed, np.float32)
    in_order = (np.diff(positions) > 0).all() and (positions < candidates).all()
    if not in_order or not values.all():
        raise PayloadError("a pool's pairs must be in ascending positions and have no 0")
    scalars = np.zeros(candidates, np.float32)
    scalars[positions] = values
    return scalars


@payload(kind=6)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeedPool(Payload):
    """FedKSeed: a scalar for each candidate, summed over a client's steps or over the run."""

    slot: U32  # client slot; 0 on the down-link
    samples: U32  # n_k, the client's training samples; 0 on the down-link
    digest: DigestPrefix  # of the weights computed on; on the down-link, of the result's
    scalars: Annotated[Floats, PoolField()]  # (K,), K <= 2^16


@payload(kind=7)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MixedResult(Payload):
    """RESULT of hi + lo: scalars of those who took ZO steps, and the others' step as integers."""

    digest: DigestPrefix  # of the resulting weights
    # (cohort,), in ascending slot order
    participates: Annotated[npt.NDArray[np.bool_], Array(np.bool_, "I")]
    # (participants with scalars, S), in ascending slot order
    differences: Annotated[Floats, Array(np.float32, "I", "H", counted=True)]
    # (P,) multiples of the quanta; empty where no other client took part
    increment: Annotated[npt.NDArray[np.int32], Array(np.int32, "Q", counted=True)]

    def require_consistent(self) -> None:
        """Refuse scalars of more clients than took part."""
        rows, participants = len(self.differences), self.participates.sum()
        if rows > participants:
            raise PayloadError(f"{rows} clients sent scalars, but {participants} took part")


@payload(kind=8)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SubModel(Payload):
    """HeteroFL's up-link: a client's sub-network, and the labels for which its outputs count."""

    slot: U32  # client slot
    # (classes,): those that the client has; empty for all
    labels: Annotated[npt.NDArray[np.bool_], Array(np.bool_, "I")]
    # (count,): trainable weights in stream order, each tensor's prefix
    values: Annotated[Floats, Array(np.float32, "Q", counted=True)]


@payload(kind=9)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ElasticUpdate(Payload):
    """ElasticZO's up-link: scalars of what is trained by forwards, weights of what by backprop."""

    slot: U32  # client slot
    samples: U32  # n_k, the client's training samples
    digest: DigestPrefix  # of the weights computed on
    differences: Annotated[Floats, Array(np.float32, "H", counted=True)]  # (S,): dL of each z
    # (count,): the weights trained by backprop, in stream order
    values: Annotated[Floats, Array(np.float32, "Q", counted=True)]
