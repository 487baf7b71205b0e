"""What all payloads share: the prefix, a reader that refuses to read past the end, the registry.

The kinds are in :mod:`zo_core.payloads.core`; import from there.
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
PREFIX = struct.Struct("<2sBB")
_MAGIC = b"ZO"

Floats = npt.NDArray[np.float32]


class PayloadError(ValueError):
    """A message body that must not be used: malformed, truncated, over-long or not finite."""


class NotFiniteError(PayloadError):
    """A message body that holds a value that is not finite."""


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
        reader = Reader(body)
        magic, version, kind = reader.unpack(PREFIX)
        if magic != _MAGIC:
            raise PayloadError(f"a payload begins with {_MAGIC!r}, got {magic!r}")
        if version != PAYLOAD_VERSION:
            raise PayloadError(f"payload version must be {PAYLOAD_VERSION}, got {version}")
        if kind not in READERS:
            raise PayloadError(f"payload kind must be one of {sorted(READERS)}, got {kind}")
        payload = READERS[kind](reader)
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


READERS: dict[int, Callable[[Reader], Payload]] = {}  # by kind; filled by zo_core.payloads.core


class Reader:
    """Takes fields off a body and refuses to read past its end."""

    def __init__(self, body: bytes) -> None:
        self._body = memoryview(body)
        self._at = 0

    def take(self, size: int) -> memoryview:
        """Return the next bytes as a view."""
        left = len(self._body) - self._at
        if size > left:
            raise PayloadError(f"the payload is truncated: {size} bytes needed, {left} left")
        self._at += size
        return self._body[self._at - size : self._at]

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        """Return the next fields of a layout."""
        return layout.unpack(self.take(layout.size))

    def array(self, size: int, dtype: Any) -> npt.NDArray[Any]:
        """Return the next size bytes as an array."""
        little = np.dtype(dtype).newbyteorder("<")
        return np.frombuffer(self.take(size), dtype=little).astype(dtype, copy=False)

    def floats(self, count: int) -> Floats:
        """Return the next finite float32 values."""
        values = self.array(4 * count, np.float32)
        if not np.isfinite(values).all():
            raise NotFiniteError("the payload holds a value that is not finite")
        return values

    def bits(self, count: int) -> npt.NDArray[np.bool_]:
        """Return the next bits, one for each of count; those beyond it must be 0."""
        bits = np.unpackbits(self.array((count + 7) // 8, np.uint8), bitorder="little")
        if bits[count:].any():
            raise PayloadError("the bitmap has bits beyond its count")
        return bits[:count].astype(bool)

    def finish(self) -> None:
        """Refuse a body that goes on."""
        if self._at != len(self._body):
            raise PayloadError(f"the payload is over-long by {len(self._body) - self._at} bytes")


def prefix(kind: int) -> bytes:
    """Return the four bytes that every body begins with."""
    return PREFIX.pack(_MAGIC, PAYLOAD_VERSION, kind)


def float_bytes(values: Floats) -> bytes:
    """Return values as little-endian float32."""
    return values.astype("<f4", copy=False).tobytes()


def digest_bytes(digest: bytes) -> bytes:
    """Return a digest's first 8 bytes as they are packed; a struct would cut or pad others."""
    if len(digest) != DIGEST_PREFIX_BYTES:
        raise ValueError(
            f"a payload's digest must be {DIGEST_PREFIX_BYTES} bytes, got {len(digest)}; "
            "take Replica.digest_prefix()"
        )
    return digest
