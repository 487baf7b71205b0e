"""One codec for all payloads: bytes, their number and what the paper counts, from a declaration.

A class says in the annotations of its fields how they are encoded (:mod:`zo_core.payloads.fields`),
and takes a kind.  ``Payload.decode`` knows a kind once the class's module is imported.

    @payload(kind=2)
    @dataclass(frozen=True, slots=True, kw_only=True, eq=False)
    class ScalarUpdate(Payload):
        slot: U32
        digest: DigestPrefix
        differences: Annotated[Floats, Array(np.float32, "H", counted=True)]

Every body starts with ``ZO``, a byte for the format's version and one for the kind.  Decoding
refuses what is malformed, truncated, over-long or not finite, before it allocates anything.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, TypeVar, get_type_hints

import numpy as np

from zo_core.payloads.fields import U32, U64, Field
from zo_core.payloads.reader import PayloadError, Reader

PAYLOAD_VERSION = 1
_MAGIC = b"ZO"
_PREFIX = struct.Struct("<2sBB")
_P = TypeVar("_P", bound="Payload")


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A message body."""

    KIND: ClassVar[int]
    run_id: U64
    round_index: U32

    @property
    def kind(self) -> int:
        """The kind that the encoded body names."""
        return self.KIND

    def encode(self) -> bytes:
        """Return the body's bytes; arrays of the declared types are copied once, into them."""
        return b"".join(self._parts())

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes; arrays of the declared types are not copied."""
        return sum(part.nbytes for part in self._parts())

    @property
    def scalar_bytes(self) -> int:
        """What the paper counts of the body, bytes: its weights and dL, nothing else."""
        described = _LAYOUTS[self.kind].fields.items()
        return sum(field.scalar_bytes(getattr(self, name), self) for name, field in described)

    def require_consistent(self) -> None:
        """Check, after decoding, what single fields cannot.

        Raises:
            PayloadError: the fields do not fit together.
        """

    @staticmethod
    def decode(body: bytes) -> Payload:
        """Parse a body of any kind.

        Raises:
            PayloadError: the body is not exactly one well-formed payload.
        """
        reader = Reader(body)
        magic, version, kind = reader.unpack(_PREFIX)
        if magic != _MAGIC:
            raise PayloadError(f"a payload must start with {_MAGIC!r}, got {magic!r}")
        if version != PAYLOAD_VERSION:
            raise PayloadError(f"payload version must be {PAYLOAD_VERSION}, got {version}")
        if kind not in _LAYOUTS:
            raise PayloadError(f"payload kind must be one of {sorted(_LAYOUTS)}, got {kind}")
        decoded = _LAYOUTS[kind].read(reader)
        reader.finish()
        return decoded

    def _parts(self) -> Iterator[memoryview]:
        yield memoryview(_PREFIX.pack(_MAGIC, PAYLOAD_VERSION, self.kind))
        yield from _LAYOUTS[self.kind].parts(self)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)
        )

    def __hash__(self) -> int:
        return hash((self.kind, self.run_id, self.round_index))


class _Layout:
    """The fields of one kind of payload, in the order of their declaration."""

    def __init__(self, cls: type[Payload], without: Sequence[str]) -> None:
        hints = get_type_hints(cls, include_extras=True)
        names = [f.name for f in fields(cls) if f.name not in without]
        self.cls = cls
        self._lacking = [f for f in fields(cls) if f.name in without]
        self.fields = {name: _description(cls, name, hints[name]) for name in names}
        self._header = struct.Struct("<" + "".join(f.letters for f in self.fields.values()))

    def parts(self, payload: Payload) -> Iterator[memoryview]:
        encoded = [f.encode(getattr(payload, name), payload) for name, f in self.fields.items()]
        yield memoryview(self._header.pack(*(n for numbers, _ in encoded for n in numbers)))
        for _, parts in encoded:
            yield from parts

    def read(self, reader: Reader) -> Payload:
        """Decode the fields into a new payload, which knows at each what it has so far."""
        numbers, decoded = iter(reader.unpack(self._header)), self.cls.__new__(self.cls)
        for f in self._lacking:
            default = f.default if f.default_factory is MISSING else f.default_factory()
            object.__setattr__(decoded, f.name, default)
        try:
            for name, field in self.fields.items():
                object.__setattr__(decoded, name, field.decode(numbers, reader, decoded))
        except PayloadError as error:
            raise type(error)(f"{self.cls.__name__}.{name}: {error}") from None
        decoded.require_consistent()
        return decoded


_LAYOUTS: dict[int, _Layout] = {}  # by kind


def payload(*, kind: int, without: Sequence[str] = ()) -> Callable[[type[_P]], type[_P]]:
    """Declare a class of payloads.

    Args:
        kind: the byte that names it; a class may have several, one for each of its layouts.
        without: fields that bodies of this kind lack.

    Raises:
        ValueError: another class has the kind.
        TypeError: a field's annotation does not say how it is encoded.
    """

    def declare(cls: type[_P]) -> type[_P]:
        if kind in _LAYOUTS:
            taken, name = sorted(_LAYOUTS), _LAYOUTS[kind].cls.__name__
            raise ValueError(f"kind {kind} is {name}'s; {cls.__name__} needs one not in {taken}")
        cls.KIND = kind
        _LAYOUTS[kind] = _Layout(cls, without)
        return cls

    return declare


def _description(cls: type[Payload], name: str, hint: Any) -> Field:
    for described in getattr(hint, "__metadata__", ()):
        if isinstance(described, Field):
            return described
    raise TypeError(f"{cls.__name__}.{name} must be Annotated with a Field, got {hint}")
