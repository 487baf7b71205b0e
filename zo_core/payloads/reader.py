"""Arrays as little-endian bytes, and a reader that refuses to read past the end of a body."""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt


class PayloadError(ValueError):
    """A message body that must not be used: malformed, truncated, over-long or not finite."""


class NotFiniteError(PayloadError):
    """A message body with a value that is not finite."""


class Reader:
    """Reads a body from its start; arrays are views of it where the machine is little-endian."""

    def __init__(self, body: bytes) -> None:
        self._body = memoryview(body)
        self._at = 0

    def take(self, size: int) -> memoryview:
        """Return the next bytes as a view."""
        at = self._skip(size)
        return self._body[at : at + size]

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        """Return the next fields of a layout."""
        return layout.unpack_from(self._body, self._skip(layout.size))

    def _skip(self, size: int) -> int:
        """Move past the next bytes; return where they begin."""
        at = self._at
        if at + size > len(self._body):
            left = len(self._body) - at
            raise PayloadError(f"the payload is truncated: {size} bytes needed, {left} left")
        self._at = at + size
        return at

    def array(self, count: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return the next elements, as :func:`array_bytes` writes them; floats must be finite."""
        little = _little_endian(np.dtype(dtype))
        if little.kind == "b":
            return self._bits(count)
        values = np.frombuffer(self.take(count * little.itemsize), little)
        if little.kind == "f" and np.count_nonzero(np.isfinite(values)) < count:
            raise NotFiniteError("the payload has a value that is not finite")
        return values if little.isnative else values.astype(dtype)

    def _bits(self, count: int) -> npt.NDArray[np.bool_]:
        bits = np.unpackbits(self.array((count + 7) // 8, np.uint8), bitorder="little")
        if bits[count:].any():
            raise PayloadError("the bitmap has bits beyond its count")
        return bits[:count].astype(bool)

    def finish(self) -> None:
        """Refuse a body with bytes left."""
        if self._at != len(self._body):
            raise PayloadError(f"the payload is over-long by {len(self._body) - self._at} bytes")


def array_bytes(values: npt.NDArray[Any], dtype: npt.DTypeLike) -> memoryview:
    """Return an array's bytes: little-endian, booleans packed from the lowest bit on.

    Numbers of this type are not copied where the machine is little-endian.
    """
    if np.dtype(dtype) == np.bool_:
        return np.packbits(values, bitorder="little").data
    return np.ascontiguousarray(values, _little_endian(np.dtype(dtype))).data


@cache
def _little_endian(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("<")
