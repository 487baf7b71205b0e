"""MQTT 3.1.1 as bytes: the packets that the parties of a run and their broker use.

After OASIS, MQTT Version 3.1.1 (2014), sections 2 and 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

_SHORT = struct.Struct(">H")
_PUBACK = struct.Struct(">BBH")
MOST_BYTES = (1 << 28) - 1  # of any packet, after its fixed header
_MOST_LENGTH_BYTES = 4  # of a packet's remaining length


class PacketError(ValueError):
    """Bytes that are no packet of MQTT 3.1.1, or one that is too long."""


class TooLongError(PacketError):
    """A packet that is longer than its receiver allows."""


class Kind(IntEnum):
    """Packets by their first four bits."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    SUBACK = 9
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class ConnectCode(IntEnum):
    """How a broker answers a CONNECT."""

    ACCEPTED = 0
    WRONG_VERSION = 1
    IDENTITY_REFUSED = 2
    UNAVAILABLE = 3
    WRONG_PASSWORD = 4
    NOT_ALLOWED = 5


class Packet(NamedTuple):
    """A packet: its kind, its flags (four bits), and what follows the fixed header."""

    kind: int
    flags: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """What a CONNECT asks for."""

    client_id: str
    keep_alive_s: int
    will: tuple[str, bytes] | None = None  # topic and body
    username: str | None = None
    password: bytes | None = None


class Publish(NamedTuple):
    """A message."""

    topic: str
    body: bytes
    packet_id: int | None  # None at QoS 0
    retain: bool


class Reader:
    """Takes a stream of bytes apart into packets.

    Args:
        most_bytes: of one packet; a longer one is refused when its header has come.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._buffer = bytearray()

    @property
    def waiting_bytes(self) -> int:
        """Bytes of a packet that has not come whole."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Add bytes; return the packets that have come whole.

        Raises:
            PacketError: a packet is longer than allowed, or its length is malformed.
        """
        self._buffer += data
        at = 0
        try:
            while (span := self._span(at)) is not None:
                start, end = span
                first = self._buffer[at]
                yield Packet(first >> 4, first & 15, bytes(self._buffer[start:end]))
                at = end
        finally:
            del self._buffer[:at]

    def _span(self, at: int) -> tuple[int, int] | None:
        """Find where the data of the packet at a place begin and end; None: not all is here."""
        buffer, length = self._buffer, 0
        for index in range(_MOST_LENGTH_BYTES):
            if at + 1 + index >= len(buffer):
                return None
            byte = buffer[at + 1 + index]
            length |= (byte & 127) << (7 * index)
            if byte < 128:
                break
        else:
            raise PacketError("a packet's length has more than 4 bytes")
        if length > self.most_bytes:
            raise TooLongError(f"a packet must have at most {self.most_bytes} bytes, got {length}")
        start = at + 2 + index
        return (start, start + length) if start + length <= len(buffer) else None


def packet(kind: Kind, *parts: bytes, flags: int = 0) -> bytes:
    """Encode a packet."""
    rest = sum(map(len, parts))
    header = bytearray([kind << 4 | flags])
    while True:
        rest, low = divmod(rest, 128)
        header.append(low | 128 if rest else low)
        if not rest:
            return b"".join((header, *parts))


def connack(code: ConnectCode) -> bytes:
    """Encode the answer to a CONNECT; sessions are clean."""
    return packet(Kind.CONNACK, bytes([0, code]))


def connect(request: Connect) -> bytes:
    """Encode a CONNECT with a clean session; a will goes out at QoS 1."""
    flags, tail = 2, [_text(request.client_id)]
    if request.will is not None:
        flags |= 4 | 8
        tail += [_text(request.will[0]), _blob(request.will[1])]
    if request.username is not None:
        flags |= 128
        tail.append(_text(request.username))
    if request.password is not None:
        flags |= 64
        tail.append(_blob(request.password))
    head = _text("MQTT") + bytes([4, flags]) + _SHORT.pack(request.keep_alive_s)
    return packet(Kind.CONNECT, head, *tail)


def publish(
    topic: str, body: bytes, packet_id: int | None = None, *, retain: bool = False
) -> bytes:
    """Encode a message, at QoS 1 where it has a packet id."""
    if packet_id is None:
        return packet(Kind.PUBLISH, _text(topic), body, flags=int(retain))
    return packet(Kind.PUBLISH, _text(topic), _SHORT.pack(packet_id), body, flags=2 | int(retain))


def puback(packet_id: int) -> bytes:
    """Encode the acknowledgement of a message."""
    return _PUBACK.pack(Kind.PUBACK << 4, _SHORT.size, packet_id)


def subscribe(packet_id: int, topics: list[str]) -> bytes:
    """Encode a subscription at QoS 1."""
    parts = [_text(topic) + b"\1" for topic in topics]
    return packet(Kind.SUBSCRIBE, _SHORT.pack(packet_id), *parts, flags=2)


def suback(packet_id: int, codes: list[int]) -> bytes:
    """Encode the answer to a subscription: the QoS of each topic, 128 for a refused one."""
    return packet(Kind.SUBACK, _SHORT.pack(packet_id), bytes(codes))


def read_connect(data: bytes) -> Connect:
    """Decode a CONNECT.

    Raises:
        PacketError: it is malformed, or of another version.
    """
    name, at = _read_text(data, 0)
    if name != "MQTT" or data[at : at + 1] != b"\x04":
        raise PacketError(f"the protocol must be MQTT 3.1.1, got {name!r}")
    flags, (keep_alive_s,) = _byte(data, at + 1), _SHORT.unpack(_take(data, at + 2, 2)[0])
    client_id, at = _read_text(data, at + 4)
    will = username = password = None
    if flags & 4:
        topic, at = _read_text(data, at)
        body, at = _read_blob(data, at)
        will = topic, body
    if flags & 128:
        username, at = _read_text(data, at)
    if flags & 64:
        password, at = _read_blob(data, at)
    return Connect(
        client_id=client_id,
        keep_alive_s=keep_alive_s,
        will=will,
        username=username,
        password=password,
    )


def read_publish(packet: Packet) -> Publish:
    """Decode a message.

    Raises:
        PacketError: it is malformed, or at QoS 2.
    """
    topic, at = _read_text(packet.data, 0)
    qos = packet.flags >> 1 & 3
    if qos > 1:
        raise PacketError(f"a message must be at QoS 0 or 1, got {qos}")
    packet_id = read_id(packet.data, at) if qos else None
    return Publish(topic, packet.data[at + 2 * qos :], packet_id, bool(packet.flags & 1))


def read_subscribe(data: bytes) -> tuple[int, list[str]]:
    """Decode a subscription: its packet id and the topics.

    Raises:
        PacketError: it is malformed.
    """
    at, topics = 2, []
    while at < len(data):
        topic, at = _read_text(data, at)
        topics.append(topic)
        at += 1  # the QoS that is asked for
    return read_id(data), topics


def read_id(data: bytes, at: int = 0) -> int:
    """Decode a packet id.

    Raises:
        PacketError: it is cut short.
    """
    try:
        return int(_SHORT.unpack_from(data, at)[0])
    except struct.error as error:
        raise PacketError("a packet is cut short") from error


def _text(text: str) -> bytes:
    return _blob(text.encode())


def _blob(data: bytes) -> bytes:
    return _SHORT.pack(len(data)) + data


def _byte(data: bytes, at: int) -> int:
    return _take(data, at, 1)[0][0]


def _take(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    taken = data[at : at + size]
    if len(taken) < size:
        raise PacketError("a packet is cut short")
    return taken, at + size


def _read_blob(data: bytes, at: int) -> tuple[bytes, int]:
    return _take(data, at + 2, read_id(data, at))


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    taken, at = _read_blob(data, at)
    try:
        return taken.decode(), at
    except UnicodeDecodeError as error:
        raise PacketError("a packet's text is not UTF-8") from error
