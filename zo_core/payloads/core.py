"""What crosses the link: a versioned binary encoding, little endian, whose length is its cost.

Every body begins with the magic ``ZO``, the format's version and the kind.  Decoding refuses what
is malformed, truncated, over-long or not finite, before it allocates anything.

| kind | who sends it | body after the 4-byte prefix |
|---|---|---|
| DenseWeights | both ways, phase one | run, round, slot, samples, count, count float32 |
| ScalarUpdate | client, phase two | run, round, slot, digest, S, S float32 (dL) |
| RoundResult | server, phase two | run, round, digest, cohort size, S, bitmap, S float32 each |
| MixedResult | server, hi + lo | a RoundResult's with rows, P; P int32 |
| SeedPool | both ways, FedKSeed | run, round, slot, samples, digest, K, n, n uint16 and float32 |
| SubModel | client, HeteroFL | run, round, slot, classes, count, bitmap, count float32 |
| ElasticUpdate | client, ElasticZO | run, round, slot, samples, digest, S, count; both float32 |
| SparseChange | client, FedAvg | run, round, slot, samples, P, k, buffers; k uint32 and float32 |
| QuantisedChange | client, FedAvg | run, round, slot, samples, bits, tensors, P, buffers; codes |
| Snapshot | server, hand-over | run, round, tensors, state count, exponents int32, float32 |
| Snapshot with state | server, catch-up | a Snapshot's, state count, float32 |
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from zo_core.payloads.compressed import QuantisedChange, SparseChange
from zo_core.payloads.encoding import (
    DIGEST_PREFIX_BYTES,
    PAYLOAD_VERSION,
    PREFIX,
    READERS,
    Floats,
    NotFiniteError,
    Payload,
    PayloadError,
    Reader,
    digest_bytes,
    float_bytes,
    prefix,
)
from zo_core.payloads.methods import (
    MAX_CANDIDATES,
    ElasticUpdate,
    MixedResult,
    SeedPool,
    SubModel,
)

__all__ = [
    "DIGEST_PREFIX_BYTES",
    "MAX_CANDIDATES",
    "PAYLOAD_VERSION",
    "DenseWeights",
    "ElasticUpdate",
    "MixedResult",
    "NotFiniteError",
    "Payload",
    "PayloadError",
    "QuantisedChange",
    "RoundResult",
    "ScalarUpdate",
    "SeedPool",
    "Snapshot",
    "SparseChange",
    "SubModel",
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DenseWeights(Payload):
    """A whole model as floats: phase one's up-link (slot's result) and down-link."""

    KIND: ClassVar[int] = 1
    HEAD: ClassVar[struct.Struct] = struct.Struct("<QIIIQ")
    slot: int  # client slot; 0 on the down-link
    samples: int  # n_k, the client's training samples; 0 on the down-link
    values: Floats  # (count,): trainable weights in stream order, then buffers

    def encode(self) -> bytes:
        """Return the body's bytes."""
        head = self.HEAD.pack(
            self.run_id, self.round_index, self.slot, self.samples, self.values.size
        )
        return prefix(self.KIND) + head + float_bytes(self.values)

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        return PREFIX.size + self.HEAD.size + 4 * self.values.size

    @classmethod
    def read(cls, reader: Reader) -> DenseWeights:
        """Parse what follows the prefix."""
        run_id, round_index, slot, samples, count = reader.unpack(cls.HEAD)
        return cls(
            run_id=run_id,
            round_index=round_index,
            slot=slot,
            samples=samples,
            values=reader.floats(count),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScalarUpdate(Payload):
    """UPDATE: a client's S scalars, bound to the weights that they were computed on."""

    KIND: ClassVar[int] = 2
    HEAD: ClassVar[struct.Struct] = struct.Struct("<QII8sH")
    slot: int
    digest: bytes  # first 8 bytes of the digest of the weights perturbed
    differences: Floats  # (S,): dL of each direction

    def encode(self) -> bytes:
        """Return the body's bytes."""
        head = self.HEAD.pack(
            self.run_id,
            self.round_index,
            self.slot,
            digest_bytes(self.digest),
            self.differences.size,
        )
        return prefix(self.KIND) + head + float_bytes(self.differences)

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        return PREFIX.size + self.HEAD.size + 4 * self.differences.size

    @classmethod
    def read(cls, reader: Reader) -> ScalarUpdate:
        """Parse what follows the prefix."""
        run_id, round_index, slot, digest, count = reader.unpack(cls.HEAD)
        return cls(
            run_id=run_id,
            round_index=round_index,
            slot=slot,
            digest=digest,
            differences=reader.floats(count),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoundResult(Payload):
    """RESULT: who of the derived cohort counts, and their scalars; enough to rebuild the step."""

    KIND: ClassVar[int] = 3
    HEAD: ClassVar[struct.Struct] = struct.Struct("<QI8sIH")
    digest: bytes  # first 8 bytes of the resulting weights' digest
    participates: npt.NDArray[np.bool_]  # (cohort,), in ascending slot order
    differences: Floats  # (participants, S), in ascending slot order

    def encode(self) -> bytes:
        """Return the body's bytes."""
        head = self.HEAD.pack(
            self.run_id,
            self.round_index,
            digest_bytes(self.digest),
            self.participates.size,
            self.differences.shape[1],
        )
        bitmap = np.packbits(self.participates, bitorder="little").tobytes()
        return prefix(self.KIND) + head + bitmap + float_bytes(self.differences)

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        bitmap = (self.participates.size + 7) // 8
        return PREFIX.size + self.HEAD.size + bitmap + 4 * self.differences.size

    @classmethod
    def read(cls, reader: Reader) -> RoundResult:
        """Parse what follows the prefix."""
        run_id, round_index, digest, cohort, directions = reader.unpack(cls.HEAD)
        participates = reader.bits(cohort)
        count = int(participates.sum())
        return cls(
            run_id=run_id,
            round_index=round_index,
            digest=digest,
            participates=participates,
            differences=reader.floats(count * directions).reshape(count, directions),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot(Payload):
    """The model at hand-over or for who catches up: grid exponents, weights, all other state.

    A snapshot with a method's shared state is a kind of its own; all others have no byte for it.
    """

    KIND: ClassVar[int] = 4
    KIND_WITH_STATE: ClassVar[int] = 5
    HEAD: ClassVar[struct.Struct] = struct.Struct("<QIIQ")
    STATE_HEAD: ClassVar[struct.Struct] = struct.Struct("<Q")
    exponents: npt.NDArray[np.int32]  # (tensors,); empty in plain mode
    values: Floats  # (count,): weights in stream order, frozen parameters, buffers
    state: Floats = field(default_factory=lambda: np.empty(0, np.float32))  # of the method, flat

    def encode(self) -> bytes:
        """Return the body's bytes."""
        head = self.HEAD.pack(self.run_id, self.round_index, self.exponents.size, self.values.size)
        exponents = self.exponents.astype("<i4").tobytes()
        body = head + exponents + float_bytes(self.values)
        if self.state.size == 0:
            return prefix(self.KIND) + body
        state = self.STATE_HEAD.pack(self.state.size) + float_bytes(self.state)
        return prefix(self.KIND_WITH_STATE) + body + state

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        state = self.STATE_HEAD.size + 4 * self.state.size if self.state.size else 0
        numbers = self.exponents.size + self.values.size
        return PREFIX.size + self.HEAD.size + 4 * numbers + state

    @classmethod
    def read(cls, reader: Reader) -> Snapshot:
        """Parse what follows the prefix."""
        run_id, round_index, tensors, count = reader.unpack(cls.HEAD)
        return cls(
            run_id=run_id,
            round_index=round_index,
            exponents=reader.array(4 * tensors, np.int32),
            values=reader.floats(count),
        )

    @classmethod
    def read_with_state(cls, reader: Reader) -> Snapshot:
        """Parse what follows the prefix of a snapshot with shared state."""
        model = cls.read(reader)
        (count,) = reader.unpack(cls.STATE_HEAD)
        if count == 0:
            raise PayloadError("a snapshot with shared state must hold some, got 0 values")
        return replace(model, state=reader.floats(count))


for _kind in (
    *(DenseWeights, ScalarUpdate, RoundResult, Snapshot),
    *(SeedPool, MixedResult, SubModel, ElasticUpdate, SparseChange, QuantisedChange),
):
    READERS[_kind.KIND] = _kind.read
READERS[Snapshot.KIND_WITH_STATE] = Snapshot.read_with_state
