"""How a payload class declares its bytes: each field's annotation says how it is encoded.

A body is a header and what follows it.  In the order of the fields, the header has each number, and
each array's sizes; the arrays follow, in the same order.  Letters are those of :mod:`struct`.

    slot: U32                                                  # 4 bytes in the header
    values: Annotated[Floats, Array(np.float32, "Q")]          # 8 bytes in the header for its size
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from zo_core.payloads.reader import NotFiniteError, PayloadError, Reader, array_bytes

DIGEST_PREFIX_BYTES = 8

# Where a size comes from: a letter for a number in the header, or a function of the fields before.
Size = str | Callable[[Any], int]
Encoded = tuple[tuple[Any, ...], tuple[memoryview, ...]]  # numbers in the header, what follows it


class Field:
    """Describes a field that is a number in the header, and is the base of the other descriptions.

    Args:
        letters: one for each of its numbers in the header.
        counted: whether the paper counts what follows the header.
        at_most: the largest number in the header, if a decoder refuses larger ones.
    """

    def __init__(self, letters: str, *, counted: bool = False, at_most: int | None = None) -> None:
        self.letters, self.counted, self.at_most = letters, counted, at_most

    def encode(self, value: Any, known: Any) -> Encoded:
        """Return a value's numbers in the header and what follows it; known has other fields."""
        return (value,), ()

    def decode(self, numbers: Iterator[Any], reader: Reader, known: Any) -> Any:
        """Return the field's value.

        Args:
            numbers: of the header, from the field's own on.
            reader: stands where the field's bytes begin.
            known: has the fields before this one as attributes.

        Raises:
            PayloadError: the bytes are not those of a valid value.
        """
        number = next(numbers)
        return number if self.at_most is None else self.bounded(number)

    def scalar_bytes(self, value: Any, known: Any) -> int:
        """Count what the paper counts."""
        return sum(part.nbytes for part in self.encode(value, known)[1]) if self.counted else 0

    def bounded(self, number: Any) -> Any:
        """Return a number that is not too large."""
        if self.at_most is not None and number > self.at_most:
            raise PayloadError(f"must be at most {self.at_most}, got {number}")
        return number


class Digest(Field):
    """The first 8 bytes of a digest, in the header."""

    def __init__(self) -> None:
        super().__init__(f"{DIGEST_PREFIX_BYTES}s")

    def encode(self, value: bytes, known: Any) -> Encoded:
        """Encode; a struct would cut or pad a digest of another length."""
        if len(value) != DIGEST_PREFIX_BYTES:
            raise ValueError(
                f"a payload's digest must be {DIGEST_PREFIX_BYTES} bytes, got {len(value)}; "
                "take Replica.digest_prefix()"
            )
        return (value,), ()


class Float(Field):
    """A float32 number in the header that the paper counts; it must be finite."""

    def __init__(self) -> None:
        super().__init__("f")

    def decode(self, numbers: Iterator[float], reader: Reader, known: Any) -> float:
        """Return the number."""
        number = next(numbers)
        if not math.isfinite(number):
            raise NotFiniteError(f"must be finite, got {number}")
        return number

    def scalar_bytes(self, value: float, known: Any) -> int:
        """Count its four bytes."""
        return 4


class Choice(Field):
    """A member of an enumeration, a byte in the header."""

    def __init__(self, choices: type[IntEnum]) -> None:
        super().__init__("B")
        self._choices = {int(choice): choice for choice in choices}

    def decode(self, numbers: Iterator[int], reader: Reader, known: Any) -> IntEnum:
        """Return the member."""
        number = next(numbers)
        if number not in self._choices:
            raise PayloadError(f"must be one of {list(self._choices)}, got {number}")
        return self._choices[number]


class Array(Field):
    """An array after the header; floats must be finite.

    Args:
        dtype: of its elements; booleans take one bit each.
        axes: the size of each axis.
        counted: whether the paper counts it.
    """

    def __init__(self, dtype: npt.DTypeLike, *axes: Size, counted: bool = False) -> None:
        super().__init__("".join(a for a in axes if isinstance(a, str)), counted=counted)
        self._dtype, self._axes = dtype, axes

    def encode(self, value: npt.NDArray[Any], known: Any) -> Encoded:
        """Return the sizes that have a letter, and the elements."""
        sizes = zip(value.shape, self._axes, strict=True)
        in_header = tuple(size for size, axis in sizes if isinstance(axis, str))
        return in_header, (array_bytes(value, self._dtype),)

    def decode(self, numbers: Iterator[int], reader: Reader, known: Any) -> npt.NDArray[Any]:
        """Return the array, a view of the body where it can be."""
        shape = self.shape(numbers, known)
        return reader.array(math.prod(shape), self._dtype).reshape(shape)

    def shape(self, numbers: Iterator[int], known: Any) -> list[int]:
        """Return the size of each axis, from the header or from the fields before."""
        return [next(numbers) if isinstance(axis, str) else axis(known) for axis in self._axes]


class SizedArray(Field):
    """A float array whose size stands right before it, not in the header; it must not be empty."""

    _SIZE = struct.Struct("<Q")

    def __init__(self) -> None:
        super().__init__("")

    def encode(self, value: npt.NDArray[Any], known: Any) -> Encoded:
        """Return the size and the elements."""
        return (), (memoryview(self._SIZE.pack(value.size)), array_bytes(value, np.float32))

    def decode(self, numbers: Iterator[int], reader: Reader, known: Any) -> npt.NDArray[Any]:
        """Return the array."""
        (count,) = reader.unpack(self._SIZE)
        if count == 0:
            raise PayloadError("must have at least 1 value, got 0")
        return reader.array(count, np.float32)


class Blob(Field):
    """Bytes after the header.

    Args:
        size: their number.
        at_most: the largest number of them, if a decoder refuses more.
    """

    def __init__(self, size: Size, *, at_most: int | None = None) -> None:
        super().__init__(size if isinstance(size, str) else "", at_most=at_most)
        self._size = size

    def encode(self, value: bytes, known: Any) -> Encoded:
        """Return the size, if it has a letter, and the bytes."""
        return (len(value),) if self.letters else (), (memoryview(value),)

    def decode(self, numbers: Iterator[int], reader: Reader, known: Any) -> bytes:
        """Return the bytes."""
        size = next(numbers) if isinstance(self._size, str) else self._size(known)
        return bytes(reader.take(self.bounded(size)))


Floats = npt.NDArray[np.float32]
U32 = Annotated[int, Field("I")]
U64 = Annotated[int, Field("Q")]
DigestPrefix = Annotated[bytes, Digest()]
