"""One party's MQTT session: reads, acknowledges and reconnects while its owner waits for events.

Nothing is read ahead: until the owner asks for events, messages wait in the system and the broker,
so memory stays bounded.  A thread pings the broker, so that the owner can compute for long.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal, NamedTuple

from zo_core.federation.mqtt import packets
from zo_core.federation.mqtt.packets import Connect, Kind, Packet, PacketError, Reader
from zo_core.federation.mqtt.security import Security, is_tls, tls_waits

KEEP_ALIVE_S = 30
_RECONNECT_S = (1.0, 30.0)  # first wait, doubled up to the second
_HANDSHAKE_S = 10.0
_GOODBYE_S = 2.0  # for the broker to take what was sent and close the connection
_READ_BYTES = 1 << 16  # at once; a longer buffer would be a mapping of its own each time
_GATHER_S = 0.001  # from a short read to the next, so that many small messages cost few reads
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
    """A session that is clean at each connection; one thread owns it and calls its methods.

    Args:
        identity: the client id.
        subscriptions: topics to listen to.
        will: topic on which the broker tells of a broken connection; None for none.
    """

    def __init__(self, identity: str, subscriptions: list[str], will: str | None) -> None:
        self._identity, self._subscriptions, self._will = identity, subscriptions, will
        self._lock = threading.Lock()  # of the socket and what waits to be sent
        self._out = bytearray()
        self._next_id = 1
        self._connected = False
        self._came: list[Event] = []  # on connecting
        self._closed = threading.Event()
        self._pings = threading.Thread(target=self._ping, name=f"mqtt {identity}", daemon=True)

    def open(self, host: str, port: int, security: Security) -> None:
        """Connect, and stay connected until closed.

        Raises:
            OSError: nobody answers; a LinkError where the broker turns this party away.
        """
        self._host, self._port, self._security = host, port, security
        self._connect()
        self._pings.start()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the system has not taken yet."""
        return len(self._out)

    def publish(self, topic: str, body: bytes, *, retain: bool = False) -> None:
        """Send a message at QoS 1; the broker's acknowledgement is an event."""
        self._send(packets.publish(topic, body, self._new_id(), retain=retain))

    def events(self, timeout_s: float) -> list[Event]:
        """Wait for events, and send what waits; return none when time is up."""
        ends_s = time.monotonic() + timeout_s
        while True:
            came, self._came = self._came, []
            came = came or self._step(max(ends_s - time.monotonic(), 0.0))
            if came or time.monotonic() >= ends_s:
                return came

    def close(self) -> None:
        """Say goodbye to the broker."""
        self._closed.set()
        if not self._connected:
            return
        ends_s = time.monotonic() + _GOODBYE_S
        with suppress(OSError, PacketError):  # the broker closes the connection
            self._send(packets.packet(Kind.DISCONNECT))
            while (left_s := ends_s - time.monotonic()) > 0:
                self._carry(left_s)
        self._drop()

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
        self._selector = selectors.DefaultSelector()
        self._selector.register(connection, selectors.EVENT_READ)
        with self._lock:
            self._socket, self._connected = connection, True
            self._out.clear()
        self._heard_s, self._is_sparse = time.monotonic(), True
        self._wait_s = _RECONNECT_S[0]
        self._came = [Event("connected"), *self._events(early)]

    def _introduce(self, connection: socket.socket) -> list[Packet]:
        """Connect and subscribe; return the other packets that came.

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

    def _drop(self) -> None:
        """Give up the connection."""
        self._selector.close()
        with self._lock:
            self._connected = False
            self._socket.close()
        self._retry_s = time.monotonic() + self._wait_s

    def _reconnect(self, timeout_s: float) -> None:
        """Connect again when it is time to, or wait for it."""
        left_s = self._retry_s - time.monotonic()
        if left_s > 0:
            time.sleep(min(left_s, timeout_s))
            return
        self._wait_s = min(2 * self._wait_s, _RECONNECT_S[1])
        self._retry_s = time.monotonic() + self._wait_s
        with suppress(OSError, PacketError):
            self._connect()

    # --- reading ---------------------------------------------------------------------------------

    def _step(self, timeout_s: float) -> list[Event]:
        """Read and write once, or connect again."""
        if not self._connected:
            self._reconnect(timeout_s)
            return []
        try:
            return self._carry(timeout_s)
        except (OSError, PacketError):
            self._drop()
            return [Event("lost")]

    def _carry(self, timeout_s: float) -> list[Event]:
        """Read and write as soon as the system allows either."""
        ready = self._ready(timeout_s)
        if ready & selectors.EVENT_WRITE:
            with self._lock:
                self._flush()
        if ready & selectors.EVENT_READ:
            return self._events(self._reader.feed(self._read()))
        if time.monotonic() - self._heard_s > 2 * KEEP_ALIVE_S:
            raise ConnectionError("the broker is silent")
        return []

    def _ready(self, timeout_s: float) -> int:
        """Wait until the connection can be read, or written where something waits."""
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)
        if wanted != self._selector.get_key(self._socket).events:
            self._selector.modify(self._socket, wanted)
        return next((events for _, events in self._selector.select(timeout_s)), 0)

    def _read(self) -> bytes:
        """Read what is there; soon after a short read, wait for more to come first."""
        gathered_s = time.monotonic() - self._heard_s
        if self._is_sparse and gathered_s < _GATHER_S:
            time.sleep(_GATHER_S - gathered_s)
        with self._lock:
            data = self._received()
        self._heard_s, self._is_sparse = time.monotonic(), len(data) < _READ_BYTES
        return data

    def _received(self) -> bytes:
        data = b""
        with suppress(BlockingIOError, *tls_waits()):
            while len(data) < _READ_BYTES:
                part = self._socket.recv(_READ_BYTES)
                if not part:
                    raise ConnectionError("the broker closed the connection")
                data += part
                if not is_tls(self._socket):  # TLS returns 16 KiB or less
                    break
        return data

    def _events(self, came: Iterable[Packet]) -> list[Event]:
        """Turn packets into events; acknowledge messages together."""
        events, acknowledgements = [], []
        for packet in came:
            if packet.kind == Kind.PUBLISH:
                message = packets.read_publish(packet)
                if message.packet_id is not None:
                    acknowledgements.append(packets.puback(message.packet_id))
                events.append(Event("message", message.topic, message.body))
            elif packet.kind == Kind.PUBACK:
                events.append(Event("sent"))
        if acknowledgements:
            self._send(b"".join(acknowledgements))
        return events

    # --- sending ---------------------------------------------------------------------------------

    def _ping(self) -> None:
        while not self._closed.wait(KEEP_ALIVE_S / 2):
            self._send(packets.packet(Kind.PINGREQ))

    def _send(self, data: bytes) -> None:
        with self._lock:
            self._out += data
            if self._connected:
                with suppress(OSError):  # reading notices
                    self._flush()

    def _flush(self) -> None:
        """Send as much as the system takes."""
        with suppress(BlockingIOError, *tls_waits()):
            while self._out:
                sent = self._socket.send(bytes(self._out[:_READ_BYTES]))
                del self._out[:sent]

    def _new_id(self) -> int:
        self._next_id = self._next_id % 65_535 + 1
        return self._next_id
