"""One connection to the embedded broker: packets in, messages out, within the broker's limits."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from zo_core.federation.mqtt import packets
from zo_core.federation.mqtt.limits import Bucket
from zo_core.federation.mqtt.packets import (
    Connect,
    Kind,
    Packet,
    PacketError,
    Publish,
    Reader,
    TooLongError,
)

if TYPE_CHECKING:
    from zo_core.federation.mqtt.router import Router

_KEEP_ALIVE_GRACE = 1.5  # of the seconds that a client promised, after which it is gone

_BEHIND_BYTES = 1 << 20  # that wait to be sent, from which on a party is behind


class Peer(asyncio.Protocol):
    """A party's connection.

    Args:
        router: the broker.
    """

    transport: asyncio.Transport

    def __init__(self, router: Router) -> None:
        limits = router.limits
        self.identity: str | None = None  # None before its CONNECT
        self.topics: set[str] = set()
        self.will: Publish | None = None
        self.heard_s = time.monotonic()
        self._router, self._reader = router, Reader(limits.first_packet_bytes)
        self._bucket = Bucket(limits.messages_per_s, self.heard_s)
        self._keep_alive_s = limits.connect_s / _KEEP_ALIVE_GRACE
        self._holds = 0  # reasons not to read: the rate, a server that is behind

    # --- asyncio ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new connection, if there is room."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._router.arrived(self)

    def data_received(self, data: bytes) -> None:
        """Handle the packets that are whole."""
        self.heard_s = time.monotonic()
        try:
            for packet in self._reader.feed(data):
                if self.transport.is_closing():
                    return
                self._handle(packet)
        except PacketError as error:
            kind = "over-long" if isinstance(error, TooLongError) else "malformed"
            self._router.turn_away(self, f"connections with {kind} packets")
            return
        self._router.check_memory(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the others."""
        self._router.left(self)

    def pause_writing(self) -> None:
        """Note that this party reads slower than it is sent to."""
        self._router.fell_behind(self)

    def resume_writing(self) -> None:
        """Note that it has caught up."""
        self._router.caught_up(self)

    # --- what the router uses --------------------------------------------------------------------

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait here, read or to be sent."""
        return self._reader.waiting_bytes + self.transport.get_write_buffer_size()

    @property
    def is_silent(self) -> bool:
        """Whether nothing came for longer than the client promised."""
        allowed_s = _KEEP_ALIVE_GRACE * self._keep_alive_s
        return allowed_s > 0 and self._holds == 0 and time.monotonic() - self.heard_s > allowed_s

    def welcome(self, request: Connect, identity: str, most_bytes: int) -> None:
        """Let a client in."""
        self.identity, self._keep_alive_s = identity, request.keep_alive_s
        if request.will is not None:
            self.will = Publish(*request.will, None, False)
        self._reader.most_bytes = most_bytes
        self.transport.set_write_buffer_limits(high=_BEHIND_BYTES)
        self.transport.write(packets.connack(packets.ConnectCode.ACCEPTED))

    def hold(self) -> None:
        """Stop reading."""
        self._holds += 1
        if self._holds == 1 and not self.transport.is_closing():
            self.transport.pause_reading()

    def release(self) -> None:
        """Read again, unless there is another reason not to."""
        self._holds -= 1
        if self._holds == 0 and not self.transport.is_closing():
            self.transport.resume_reading()

    # --- packets ---------------------------------------------------------------------------------

    def _handle(self, packet: Packet) -> None:
        if self.identity is None:
            if packet.kind != Kind.CONNECT:
                raise PacketError("the first packet must be CONNECT")
            self._router.connect(self, packets.read_connect(packet.data))
            return
        match packet.kind:
            case Kind.PUBLISH:
                self._publish(packets.read_publish(packet))
            case Kind.SUBSCRIBE:
                packet_id, topics = packets.read_subscribe(packet.data)
                codes = [self._router.subscribe(self, topic) for topic in topics]
                self.transport.write(packets.suback(packet_id, codes))
                self._router.deliver_retained(self, topics)
            case Kind.PINGREQ:
                self.transport.write(packets.packet(Kind.PINGRESP))
            case Kind.DISCONNECT:
                self.will = None
                self.transport.close()
            case Kind.PUBACK:
                pass
            case _:
                raise PacketError(f"a client must not send packets of kind {packet.kind}")

    def _publish(self, message: Publish) -> None:
        self._router.publish(self, message)
        if message.packet_id is not None:
            self.transport.write(packets.puback(message.packet_id))
        if self._router.is_server(self):
            return
        wait_s = self._bucket.take(self.heard_s)
        if wait_s > 0:
            self.hold()
            asyncio.get_running_loop().call_later(wait_s, self.release)
