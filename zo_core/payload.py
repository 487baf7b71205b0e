"""What crosses the link: a versioned binary encoding, little endian, whose length is its cost.

Every body begins with the magic ``ZO``, the format's version and the kind.  Decoding refuses what
is malformed, truncated, over-long or not finite, before it allocates anything.

| kind | who sends it | body after the 4-byte prefix |
|---|---|---|
| DenseWeights | both ways, phase one | run, round, slot, samples, count, count float32 |
| ScalarUpdate | client, phase two | run, round, slot, digest, S, S float32 (dL) |
| RoundResult | server, phase two | run, round, digest, cohort size, S, bitmap, S float32 each |
| Snapshot | server, hand-over | run, round, tensors, state count, exponents int32, float32 |
"""

from __future__ import annotations

import struct
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

PAYLOAD_VERSION = 1
DIGEST_PREFIX_BYTES = 8
_PREFIX = struct.Struct("<2sBB")
_MAGIC = b"ZO"

Floats = npt.NDArray[np.float32]


class PayloadError(ValueError):
    """A message body that must not be used: malformed, truncated, over-long or not finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A message body; ``num_bytes == len(encode())`` for each kind."""

    KIND: ClassVar[int]
    run_id: int  # [0, 2^64)
    round_index: int  # [0, 2^32)

    @abstractmethod
    def encode(self) -> bytes:
        """Return the body's bytes."""

    @property
    @abstractmethod
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""

    @staticmethod
    def decode(body: bytes) -> Payload:
        """Parse a body of any kind.

        Raises:
            PayloadError: the body is not exactly one well-formed payload.
        """
        reader = _Reader(body)
        magic, version, kind = reader.unpack(_PREFIX)
        if magic != _MAGIC:
            raise PayloadError(f"a payload begins with {_MAGIC!r}, got {magic!r}")
        if version != PAYLOAD_VERSION:
            raise PayloadError(f"payload version must be {PAYLOAD_VERSION}, got {version}")
        if kind not in _READERS:
            raise PayloadError(f"payload kind must be one of {sorted(_READERS)}, got {kind}")
        payload = _READERS[kind](reader)
        reader.finish()
        return payload

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)
        )

    def __hash__(self) -> int:
        return hash((self.KIND, self.run_id, self.round_index))


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
        return _prefix(self.KIND) + head + _float_bytes(self.values)

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        return _PREFIX.size + self.HEAD.size + 4 * self.values.size

    @classmethod
    def read(cls, reader: _Reader) -> DenseWeights:
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
            self.run_id, self.round_index, self.slot, self.digest, self.differences.size
        )
        return _prefix(self.KIND) + head + _float_bytes(self.differences)

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        return _PREFIX.size + self.HEAD.size + 4 * self.differences.size

    @classmethod
    def read(cls, reader: _Reader) -> ScalarUpdate:
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
            self.digest,
            self.participates.size,
            self.differences.shape[1],
        )
        bitmap = np.packbits(self.participates, bitorder="little").tobytes()
        return _prefix(self.KIND) + head + bitmap + _float_bytes(self.differences)

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        bitmap = (self.participates.size + 7) // 8
        return _PREFIX.size + self.HEAD.size + bitmap + 4 * self.differences.size

    @classmethod
    def read(cls, reader: _Reader) -> RoundResult:
        """Parse what follows the prefix."""
        run_id, round_index, digest, cohort, directions = reader.unpack(cls.HEAD)
        bits = np.unpackbits(reader.array((cohort + 7) // 8, np.uint8), bitorder="little")
        if bits[cohort:].any():
            raise PayloadError("the bitmap has bits beyond the cohort")
        participates = bits[:cohort].astype(bool)
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
    """The model at hand-over or for who catches up: grid exponents, weights and frozen state."""

    KIND: ClassVar[int] = 4
    HEAD: ClassVar[struct.Struct] = struct.Struct("<QIIQ")
    exponents: npt.NDArray[np.int32]  # (tensors,); empty in plain mode
    values: Floats  # (count,): weights in stream order, frozen parameters, buffers

    def encode(self) -> bytes:
        """Return the body's bytes."""
        head = self.HEAD.pack(self.run_id, self.round_index, self.exponents.size, self.values.size)
        exponents = self.exponents.astype("<i4").tobytes()
        return _prefix(self.KIND) + head + exponents + _float_bytes(self.values)

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        return _PREFIX.size + self.HEAD.size + 4 * self.exponents.size + 4 * self.values.size

    @classmethod
    def read(cls, reader: _Reader) -> Snapshot:
        """Parse what follows the prefix."""
        run_id, round_index, tensors, count = reader.unpack(cls.HEAD)
        return cls(
            run_id=run_id,
            round_index=round_index,
            exponents=reader.array(4 * tensors, np.int32),
            values=reader.floats(count),
        )


_READERS: dict[int, Callable[[_Reader], Payload]] = {}


class _Reader:
    """Takes fields off a body and refuses to read past its end."""

    def __init__(self, body: bytes) -> None:
        self._body = memoryview(body)
        self._at = 0

    def take(self, size: int) -> memoryview:
        left = len(self._body) - self._at
        if size > left:
            raise PayloadError(f"the payload is truncated: {size} bytes needed, {left} left")
        self._at += size
        return self._body[self._at - size : self._at]

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        return layout.unpack(self.take(layout.size))

    def array(self, size: int, dtype: Any) -> npt.NDArray[Any]:
        little = np.dtype(dtype).newbyteorder("<")
        return np.frombuffer(self.take(size), dtype=little).astype(dtype, copy=False)

    def floats(self, count: int) -> Floats:
        values = self.array(4 * count, np.float32)
        if not np.isfinite(values).all():
            raise PayloadError("the payload holds a value that is not finite")
        return values

    def finish(self) -> None:
        if self._at != len(self._body):
            raise PayloadError(f"the payload is over-long by {len(self._body) - self._at} bytes")


def _prefix(kind: int) -> bytes:
    return _PREFIX.pack(_MAGIC, PAYLOAD_VERSION, kind)


def _float_bytes(values: Floats) -> bytes:
    return values.astype("<f4", copy=False).tobytes()


for _kind in (DenseWeights, ScalarUpdate, RoundResult, Snapshot):
    _READERS[_kind.KIND] = _kind.read
