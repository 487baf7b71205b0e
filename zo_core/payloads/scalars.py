"""How the scalars of a message travel: as float32, as float16, or as signs with one scale.

A message stores the float32 values that its receivers decode; its sender rounds to them first
(:func:`decoded`), so that every replica takes the same step.

| encoding | bytes of a client's n scalars |
|---|---|
| float32 | 4 n |
| float16 | 2 n |
| sign | 4 + n / 8, rounded up: the mean of the magnitudes as float32, then a bit for each scalar |
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from zo_core.payloads.fields import Array, Encoded, Floats
from zo_core.payloads.reader import PayloadError, Reader, array_bytes

_FLOAT16 = float(np.finfo(np.float16).max)


class ScalarEncoding(IntEnum):
    """Encodings of a client's scalars; a message's header has the number."""

    FLOAT32 = 0
    FLOAT16 = 1
    SIGN = 2


ENCODINGS = {encoding.name.lower(): encoding for encoding in ScalarEncoding}


def decoded(scalars: Floats, encoding: ScalarEncoding) -> Floats:
    """Round scalars to the float32 values that a receiver decodes.

    Args:
        scalars: (..., n), n of each client.
        encoding: float16 saturates at its largest number; for signs, each client's scalars become
            plus or minus the mean of their magnitudes, taken in float64 and rounded once.

    Returns:
        float32, the same shape; decoding them again changes nothing.
    """
    if encoding == ScalarEncoding.FLOAT16:
        half: Floats = scalars.clip(-_FLOAT16, _FLOAT16).astype(np.float16).astype(np.float32)
        return half
    if encoding == ScalarEncoding.SIGN and scalars.size:
        return _signed(_scale(scalars), scalars < 0)
    return scalars


class Scalars(Array):
    """Float32 values in the encoding that the message's field ``encoding`` names.

    Args:
        axes: the size of each axis; the last is that of one client's scalars.
    """

    def __init__(self, *axes: Any) -> None:
        super().__init__(np.float32, *axes, counted=True)

    def encode(self, value: Floats, known: Any) -> Encoded:
        """Return the sizes in the header, and the encoded scalars."""
        sizes, (plain,) = super().encode(value, known)
        match _encoding(known):
            case ScalarEncoding.FLOAT16:
                return sizes, (array_bytes(decoded(value, ScalarEncoding.FLOAT16), np.float16),)
            case ScalarEncoding.SIGN:
                bits = np.packbits(value < 0, axis=-1, bitorder="little")
                return sizes, (array_bytes(_scale(value), np.float32), array_bytes(bits, np.uint8))
        return sizes, (plain,)

    def decode(self, numbers: Iterator[int], reader: Reader, known: Any) -> Floats:
        """Return the scalars as float32."""
        match _encoding(known):
            case ScalarEncoding.FLOAT16:
                shape = self.shape(numbers, known)
                half = reader.array(int(np.prod(shape)), np.float16)
                return half.reshape(shape).astype(np.float32)
            case ScalarEncoding.SIGN:
                return _read_signs(reader, self.shape(numbers, known))
        return super().decode(numbers, reader, known)


def _encoding(known: Any) -> ScalarEncoding:
    """Read the encoding of a message; the layouts without that field have float32."""
    return getattr(known, "encoding", ScalarEncoding.FLOAT32)


def _scale(scalars: Floats) -> Floats:
    """Return each client's mean magnitude, (..., 1); 0 without scalars."""
    count = max(1, scalars.shape[-1])
    total = np.abs(scalars).sum(axis=-1, keepdims=True, dtype=np.float64)
    scale: Floats = (total / count).astype(np.float32)
    return scale


def _signed(scale: Floats, negative: npt.NDArray[np.bool_]) -> Floats:
    return np.where(negative & (scale > 0), -scale, scale)


def _read_signs(reader: Reader, shape: list[int]) -> Floats:
    *clients, count = shape
    rows = int(np.prod(clients))
    scale = reader.array(rows, np.float32).reshape(*clients, 1)
    packed = reader.array(rows * -(-count // 8), np.uint8).reshape(*clients, -(-count // 8))
    bits = np.unpackbits(packed, axis=-1, bitorder="little").astype(bool)
    negative = bits[..., :count]
    if np.signbit(scale).any():
        raise PayloadError("the scale of signs must be >= 0")
    if bits[..., count:].any() or (negative & (scale == 0)).any():
        raise PayloadError("the signs have bits beyond their count, or of a scale of 0")
    return _signed(scale, negative)
