"""Payloads of a client's compressed change: the largest of it, or all of it in a few bits."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from zo_core.payloads.encoding import (
    PREFIX,
    Floats,
    Payload,
    PayloadError,
    Reader,
    float_bytes,
    prefix,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SparseChange(Payload):
    """Some of a change of the weights, and all buffers; the rest of the change is 0."""

    KIND: ClassVar[int] = 10
    HEAD: ClassVar[struct.Struct] = struct.Struct("<QIIIIII")
    slot: int  # client slot
    samples: int  # n_k, the client's training samples
    count: int  # P, weights of the model, below 2^32
    positions: npt.NDArray[np.uint32]  # (k,), ascending
    values: Floats  # (k,)
    buffers: Floats  # as they are after the client's training

    def encode(self) -> bytes:
        """Return the body's bytes."""
        head = self.HEAD.pack(
            *(self.run_id, self.round_index, self.slot, self.samples),
            *(self.count, self.positions.size, self.buffers.size),
        )
        positions = self.positions.astype("<u4").tobytes()
        numbers = float_bytes(self.values) + float_bytes(self.buffers)
        return prefix(self.KIND) + head + positions + numbers

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        return PREFIX.size + self.HEAD.size + 8 * self.positions.size + 4 * self.buffers.size

    @classmethod
    def read(cls, reader: Reader) -> SparseChange:
        """Parse what follows the prefix."""
        run_id, round_index, slot, samples, count, k, buffers = reader.unpack(cls.HEAD)
        positions = reader.array(4 * k, np.uint32)
        if (positions[1:] <= positions[:-1]).any() or (positions >= count).any():
            raise PayloadError(f"a change's positions must be ascending and below {count}")
        return cls(
            run_id=run_id,
            round_index=round_index,
            slot=slot,
            samples=samples,
            count=count,
            positions=positions,
            values=reader.floats(k),
            buffers=reader.floats(buffers),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantisedChange(Payload):
    """A change of the weights in 8 bits or 1 bit each, with a scale a tensor, and all buffers."""

    KIND: ClassVar[int] = 11
    HEAD: ClassVar[struct.Struct] = struct.Struct("<QIIIBIQI")
    slot: int  # client slot
    samples: int  # n_k, the client's training samples
    scales: Floats  # (tensors,)
    codes: npt.NDArray[np.int8] | npt.NDArray[np.bool_]  # (P,): multiples; or signs, True for +
    buffers: Floats  # as they are after the client's training

    def encode(self) -> bytes:
        """Return the body's bytes."""
        head = self.HEAD.pack(
            *(self.run_id, self.round_index, self.slot, self.samples, self._bits),
            *(self.scales.size, self.codes.size, self.buffers.size),
        )
        packed = self.codes if self._bits == 8 else np.packbits(self.codes, bitorder="little")
        numbers = float_bytes(self.scales) + packed.tobytes() + float_bytes(self.buffers)
        return prefix(self.KIND) + head + numbers

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        floats = self.scales.size + self.buffers.size
        return PREFIX.size + self.HEAD.size + 4 * floats + self.code_bytes

    @property
    def code_bytes(self) -> int:
        """Bytes of the weights alone."""
        return (self._bits * self.codes.size + 7) // 8

    @property
    def _bits(self) -> int:
        return 1 if self.codes.dtype == np.bool_ else 8

    @classmethod
    def read(cls, reader: Reader) -> QuantisedChange:
        """Parse what follows the prefix."""
        run_id, round_index, slot, samples, bits, *sizes = reader.unpack(cls.HEAD)
        tensors, count, buffers = sizes
        if bits not in (1, 8):
            raise PayloadError(f"a change has 1 or 8 bits a weight, got {bits}")
        return cls(
            run_id=run_id,
            round_index=round_index,
            slot=slot,
            samples=samples,
            scales=reader.floats(tensors),
            codes=reader.array(count, np.int8) if bits == 8 else reader.bits(count),
            buffers=reader.floats(buffers),
        )
