"""Payloads of single methods: FedKSeed's pool, hi + lo's result, ElasticZO's update, HeteroFL's
sub-network.
"""

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
    digest_bytes,
    float_bytes,
    prefix,
)

MAX_CANDIDATES = 1 << 16  # of a pool: a position is two bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MixedResult(Payload):
    """RESULT of hi + lo: scalars of those who took ZO steps, and the others' step as integers."""

    KIND: ClassVar[int] = 7
    HEAD: ClassVar[struct.Struct] = struct.Struct("<QI8sIIHQ")
    digest: bytes  # first 8 bytes of the resulting weights' digest
    participates: npt.NDArray[np.bool_]  # (cohort,), in ascending slot order
    differences: Floats  # (participants with scalars, S), in ascending slot order
    increment: npt.NDArray[np.int32]  # (P,) multiples of the quanta; empty where none took part

    def encode(self) -> bytes:
        """Return the body's bytes."""
        head = self.HEAD.pack(
            self.run_id,
            self.round_index,
            digest_bytes(self.digest),
            self.participates.size,
            *self.differences.shape,
            self.increment.size,
        )
        bitmap = np.packbits(self.participates, bitorder="little").tobytes()
        scalars = float_bytes(self.differences)
        return prefix(self.KIND) + head + bitmap + scalars + self.increment.astype("<i4").tobytes()

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        numbers = self.differences.size + self.increment.size
        return PREFIX.size + self.HEAD.size + (self.participates.size + 7) // 8 + 4 * numbers

    @classmethod
    def read(cls, reader: Reader) -> MixedResult:
        """Parse what follows the prefix."""
        run_id, round_index, digest, cohort, rows, directions, count = reader.unpack(cls.HEAD)
        participates = reader.bits(cohort)
        if rows > participates.sum():
            raise PayloadError(f"{rows} clients sent scalars, but {participates.sum()} took part")
        return cls(
            run_id=run_id,
            round_index=round_index,
            digest=digest,
            participates=participates,
            differences=reader.floats(rows * directions).reshape(rows, directions),
            increment=reader.array(4 * count, np.int32),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SubModel(Payload):
    """HeteroFL's up-link: a client's sub-network, and the labels for which its outputs count."""

    KIND: ClassVar[int] = 8
    HEAD: ClassVar[struct.Struct] = struct.Struct("<QIIIQ")
    slot: int  # client slot
    labels: npt.NDArray[np.bool_]  # (classes,): those that the client has; empty for all
    values: Floats  # (count,): trainable weights in stream order, each tensor's prefix

    def encode(self) -> bytes:
        """Return the body's bytes."""
        head = self.HEAD.pack(
            self.run_id, self.round_index, self.slot, self.labels.size, self.values.size
        )
        labels = np.packbits(self.labels, bitorder="little").tobytes()
        return prefix(self.KIND) + head + labels + float_bytes(self.values)

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        labels = (self.labels.size + 7) // 8
        return PREFIX.size + self.HEAD.size + labels + 4 * self.values.size

    @classmethod
    def read(cls, reader: Reader) -> SubModel:
        """Parse what follows the prefix."""
        run_id, round_index, slot, classes, count = reader.unpack(cls.HEAD)
        return cls(
            run_id=run_id,
            round_index=round_index,
            slot=slot,
            labels=reader.bits(classes),
            values=reader.floats(count),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ElasticUpdate(Payload):
    """ElasticZO's up-link: scalars of what is trained by forwards, weights of what by backprop."""

    KIND: ClassVar[int] = 9
    HEAD: ClassVar[struct.Struct] = struct.Struct("<QIII8sHQ")
    slot: int  # client slot
    samples: int  # n_k, the client's training samples
    digest: bytes  # first 8 bytes of the digest of the weights computed on
    differences: Floats  # (S,): dL of each direction
    values: Floats  # (count,): the weights trained by backprop, in stream order

    def encode(self) -> bytes:
        """Return the body's bytes."""
        head = self.HEAD.pack(
            *(self.run_id, self.round_index, self.slot, self.samples),
            *(digest_bytes(self.digest), self.differences.size, self.values.size),
        )
        return prefix(self.KIND) + head + float_bytes(self.differences) + float_bytes(self.values)

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        return PREFIX.size + self.HEAD.size + 4 * (self.differences.size + self.values.size)

    @classmethod
    def read(cls, reader: Reader) -> ElasticUpdate:
        """Parse what follows the prefix."""
        run_id, round_index, slot, samples, digest, directions, count = reader.unpack(cls.HEAD)
        return cls(
            run_id=run_id,
            round_index=round_index,
            slot=slot,
            samples=samples,
            digest=digest,
            differences=reader.floats(directions),
            values=reader.floats(count),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeedPool(Payload):
    """FedKSeed: a scalar for each candidate, summed over a client's steps or over the run.

    The body lists all of them, or (position, scalar) pairs of those that are not 0: whichever is
    fewer bytes.
    """

    KIND: ClassVar[int] = 6
    HEAD: ClassVar[struct.Struct] = struct.Struct("<QIII8sII")
    slot: int  # client slot; 0 on the down-link
    samples: int  # n_k, the client's training samples; 0 on the down-link
    digest: bytes  # first 8 bytes: of the weights computed on; on the down-link, of the result's
    scalars: Floats  # (K,), K <= 2^16

    def encode(self) -> bytes:
        """Return the body's bytes."""
        head = self.HEAD.pack(
            self.run_id,
            self.round_index,
            self.slot,
            self.samples,
            digest_bytes(self.digest),
            self.scalars.size,
            self._pairs,
        )
        if self._pairs == self.scalars.size:
            return prefix(self.KIND) + head + float_bytes(self.scalars)
        (positions,) = np.nonzero(self.scalars)
        pairs = positions.astype("<u2").tobytes() + float_bytes(self.scalars[positions])
        return prefix(self.KIND) + head + pairs

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        each = 4 if self._pairs == self.scalars.size else 6
        return PREFIX.size + self.HEAD.size + each * self._pairs

    @property
    def _pairs(self) -> int:
        """Number of pairs; K stands for the list of all."""
        count = int(np.count_nonzero(self.scalars))
        return count if 6 * count < 4 * self.scalars.size else self.scalars.size

    @classmethod
    def read(cls, reader: Reader) -> SeedPool:
        """Parse what follows the prefix."""
        run_id, round_index, slot, samples, digest, candidates, pairs = reader.unpack(cls.HEAD)
        if candidates > MAX_CANDIDATES or pairs > candidates:
            raise PayloadError(
                f"a pool holds at most 2^16 candidates and no more pairs than candidates, "
                f"got {candidates} and {pairs}"
            )
        return cls(
            run_id=run_id,
            round_index=round_index,
            slot=slot,
            samples=samples,
            digest=digest,
            scalars=reader.floats(pairs)
            if pairs == candidates
            else _pool(reader, pairs, candidates),
        )


def _pool(reader: Reader, pairs: int, candidates: int) -> Floats:
    positions = reader.array(2 * pairs, np.uint16).astype(np.int64)
    values = reader.floats(pairs)
    in_order = (np.diff(positions) > 0).all() and (positions < candidates).all()
    if not in_order or not values.all():
        raise PayloadError("a pool's pairs must be in ascending positions and hold no 0")
    scalars = np.zeros(candidates, np.float32)
    scalars[positions] = values
    return scalars
