"""One party's MQTT session on a thread of its own: it reads, acknowledges and connects again.

What comes is handed on in batches.  Where they are not taken in time the session stops reading, so
that what waits in memory stays bounded; it keeps the connection alive meanwhile.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Literal, NamedTuple

from zo_core.federation.mqtt import packets
from zo_core.federation.mqtt.packets import Connect, Kind, Packet, PacketError, Reader
from zo_core.federation.mqtt.security import Security, is_tls, tls_waits

KEEP_ALIVE_S = 30
_RECONNECT_S = (1.0, 30.0)  # first wait, doubled up to the second
_HANDSHAKE_S = 10.0
_READ_BYTES = 1 << 16  # at once; a longer buffer would be a mapping of its own each time
_MOST_UNTAKEN_BYTES = 8 << 20  # delivered and not taken, from which on nothing is read
_CODES: dict[int, str] = {
    packets.ConnectCode.WRONG_VERSION: "it does not speak MQTT 3.1.1",
    packets.ConnectCode.IDENTITY_REFUSED: "Name refused",
    packets.ConnectCode.UNAVAILABLE: "Unavailable",
    packets.ConnectCode.WRONG_PASSWORD: "Bad user name or password",
    packets.ConnectCode.NOT_ALLOWED: "Not authorized",
}


class LinkError(OSError):
    """The broker cannot be reached, or turns this party away."""


class Event(NamedTuple):
    """What a connection reports."""

    kind: Literal["connected", "lost", "message", "sent"]
    topic: str = ""
    body: bytes = b""


class Session:
    """A session that is clean at each connection.

    Args:
        identity: the client id.
        subscriptions: topics to listen to.
        will: topic on which the broker tells of a broken connection; None for none.
        deliver: takes each batch of events, on the session's thread.
    """

    def __init__(
        self,
        identity: str,
        subscriptions: list[str],
        will: str | None,
        deliver: Callable[[list[Event]], None],
    ) -> None:
        self._identity, self._subscriptions, self._will = identity, subscriptions, will
        self._deliver = deliver
        self._lock = threading.Lock()  # of the socket and what waits to be sent
        self._out = bytearray()
        self._delivered = self._taken = 0  # bytes; each is written by one thread only
        self._next_id = 1
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"mqtt {identity}", daemon=True)

    def open(self, host: str, port: int, security: Security) -> None:
        """Connect, and stay connected until closed.

        Raises:
            OSError: nobody answers; a LinkError where the broker turns this party away.
        """
        self._host, self._port, self._security = host, port, security
        self._near, self._far = socket.socketpair()  # wakes the thread
        try:
            self._connect()
        except BaseException:
            self._near.close()
            self._far.close()
            raise
        self._thread.start()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the system has not taken yet."""
        return len(self._out)

    def publish(self, topic: str, body: bytes, *, retain: bool = False) -> None:
        """Send a message at QoS 1; the broker's acknowledgement is an event."""
        self._send(packets.publish(topic, body, self._new_id(), retain=retain))

    def taken(self, num_bytes: int) -> None:
        """Note that so many bytes of messages are handled."""
        untaken = self._delivered - self._taken
        self._taken += num_bytes
        if untaken - num_bytes <= _MOST_UNTAKEN_BYTES < untaken:
            self._wake()

    def close(self) -> None:
        """Say goodbye to the broker."""
        if not self._thread.is_alive():
            return
        self._send(packets.packet(Kind.DISCONNECT))
        self._closing = True
        self._wake()
        self._thread.join(_HANDSHAKE_S)
        for end in (self._near, self._far, self._socket):
            end.close()

    @property
    def _is_full(self) -> bool:
        """Whether so much waits to be taken that nothing more should be read."""
        return self._delivered - self._taken > _MOST_UNTAKEN_BYTES

    # --- connecting ------------------------------------------------------------------------------

    def _connect(self) -> None:
        connection = socket.create_connection((self._host, self._port), timeout=_HANDSHAKE_S)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            context = self._security.context()
            if context is not None:
                connection = context.wrap_socket(connection, server_hostname=self._host)
            self._reader = Reader(packets.MOST_BYTES)
            early = self._introduce(connection)
            connection.setblocking(False)
        except BaseException:
            connection.close()
            raise
        self._socket, self._heard_s, self._pinged_s = connection, time.monotonic(), time.monotonic()
        with self._lock:
            self._out.clear()
        self._hand_on([Event("connected"), *self._events(early)])

    def _introduce(self, connection: socket.socket) -> list[Packet]:
        """Connect and subscribe; return what came beside the answers.

        Raises:
            LinkError: the broker refuses.
        """
        password = self._security.password
        request = Connect(
            client_id=self._identity,
            keep_alive_s=KEEP_ALIVE_S,
            will=None if self._will is None else (self._will, b""),
            username=self._security.username,
            password=None if password is None else password.encode(),
        )
        connection.sendall(packets.connect(request))
        answer, *more = self._await(connection, Kind.CONNACK, [])
        if len(answer.data) != 2 or answer.data[1] != packets.ConnectCode.ACCEPTED:
            raise LinkError(_CODES.get(answer.data[-1], f"refused ({answer.data.hex()})"))
        connection.sendall(packets.subscribe(self._new_id(), self._subscriptions))
        answer, *more = self._await(connection, Kind.SUBACK, more)
        if any(code > 2 for code in answer.data[2:]):
            raise LinkError(f"subscription refused ({answer.data[2:].hex()})")
        return more

    def _await(self, connection: socket.socket, kind: Kind, came: list[Packet]) -> list[Packet]:
        """Read until a packet of a kind has come; return it, then the others."""
        while not any(packet.kind == kind for packet in came):
            data = connection.recv(_READ_BYTES)
            if not data:
                raise LinkError("it closes the connection")
            came = [*came, *self._reader.feed(data)]
        answer = next(packet for packet in came if packet.kind == kind)
        return [answer, *(packet for packet in came if packet is not answer)]

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing:
            with suppress(OSError, PacketError):
                self._carry()
            if self._closing:
                return
            self._hand_on([Event("lost")])
            self._reconnect()

    def _reconnect(self) -> None:
        wait_s, most_s = _RECONNECT_S
        while not self._closing:
            select.select([self._far], [], [], wait_s)
            wait_s = min(2 * wait_s, most_s)
            with suppress(OSError, PacketError):
                self._socket.close()
                self._connect()
                return

    def _carry(self) -> None:
        """Read and write until the connection breaks."""
        while not self._closing or self._out:
            reads = [self._far] if self._is_full else [self._far, self._socket]
            writes = [self._socket] if self._out else []
            readable, writable, _ = select.select(reads, writes, [], KEEP_ALIVE_S / 4)
            if self._far in readable:
                self._far.recv(_READ_BYTES)
            if self._socket in readable:
                self._hand_on(list(self._events(self._read())))
            if writable:
                with self._lock:
                    self._flush()
            self._keep_alive()

    def _read(self) -> Iterator[Packet]:
        """Read what is there."""
        with self._lock:
            data = b"".join(self._received())
        self._heard_s = time.monotonic()
        return self._reader.feed(data)

    def _received(self) -> Iterator[bytes]:
        waits: tuple[type[OSError], ...] = (BlockingIOError, *tls_waits())
        while True:
            try:
                data = self._socket.recv(_READ_BYTES)
            except waits:
                return
            if not data:
                raise ConnectionError("the broker closed the connection")
            yield data
            if not is_tls(self._socket):  # TLS may hold back what it has read
                return

    def _events(self, came: Iterable[Packet]) -> Iterator[Event]:
        """Turn packets into events; acknowledge messages together."""
        acknowledgements = []
        for packet in came:
            if packet.kind == Kind.PUBLISH:
                message = packets.read_publish(packet)
                if message.packet_id is not None:
                    acknowledgements.append(packets.puback(message.packet_id))
                yield Event("message", message.topic, message.body)
            elif packet.kind == Kind.PUBACK:
                yield Event("sent")
        if acknowledgements:
            self._send(b"".join(acknowledgements))

    def _hand_on(self, events: list[Event]) -> None:
        self._delivered += sum(len(event.body) for event in events)
        if events:
            self._deliver(events)

    def _keep_alive(self) -> None:
        now = time.monotonic()
        if now - self._pinged_s > KEEP_ALIVE_S / 2:
            self._pinged_s = now
            self._send(packets.packet(Kind.PINGREQ))
        if not self._is_full and now - self._heard_s > 2 * KEEP_ALIVE_S:
            raise ConnectionError("the broker is silent")

    # --- sending ---------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        with self._lock:
            idle = not self._out
            self._out += data
            if idle:
                with suppress(OSError):  # the thread notices
                    self._flush()
            waits = bool(self._out)
        if waits and idle:
            self._wake()

    def _flush(self) -> None:
        """Send as much as the system takes."""
        with suppress(BlockingIOError, *tls_waits()):
            while self._out:
                sent = self._socket.send(bytes(self._out[:_READ_BYTES]))
                del self._out[:sent]

    def _new_id(self) -> int:
        self._next_id = self._next_id % 65_535 + 1
        return self._next_id

    def _wake(self) -> None:
        with suppress(OSError):
            self._near.send(b"\0")
