"""Payloads of a client's compressed change: the largest of it, or all of it in a few bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from zo_core.payloads.encoding import Payload, payload
from zo_core.payloads.fields import U32, Array, Choice, Encoded, Field, Floats
from zo_core.payloads.reader import PayloadError, Reader, array_bytes

Codes = npt.NDArray[np.int8]


class CodeBits(IntEnum):
    """Bits of a weight's code."""

    SIGN = 1
    INTEGER = 8


class CodesField(Field):
    """Codes after the header: a byte each, or only their signs."""

    def __init__(self) -> None:
        super().__init__("Q", counted=True)

    def encode(self, value: Codes, known: Any) -> Encoded:
        """Return the number of codes, and the codes."""
        if known.bits == CodeBits.INTEGER:
            return (value.size,), (array_bytes(value, np.int8),)
        return (value.size,), (array_bytes(value > 0, np.bool_),)

    def decode(self, numbers: Iterator[int], reader: Reader, known: Any) -> Codes:
        """Return the codes; of signs, 1 or -1."""
        if known.bits == CodeBits.INTEGER:
            return reader.array(next(numbers), np.int8)
        return np.where(reader.array(next(numbers), np.bool_), np.int8(1), np.int8(-1))


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


@payload(kind=11)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantisedChange(Payload):
    """A change of the weights in 8 bits or 1 bit each, with a scale per tensor, and all buffers."""

    slot: U32  # client slot
    samples: U32  # n_k, the client's training samples
    bits: Annotated[CodeBits, Choice(CodeBits)]
    scales: Annotated[Floats, Array(np.float32, "I")]  # (tensors,)
    codes: Annotated[Codes, CodesField()]  # (P,): multiples of the scales; of 1 bit, 1 or -1
    # as they are after the client's training
    buffers: Annotated[Floats, Array(np.float32, "I", counted=True)]
