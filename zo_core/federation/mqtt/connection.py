"""The round protocol over MQTT 3.1.1: topics, one connection as a queue of events.

| topic | who publishes | who subscribes |
|---|---|---|
| ``P/all`` | server | every client |
| ``P/down/IDENTITY`` | server | that client |
| ``P/up/IDENTITY`` | that client | server |
| ``P/gone/IDENTITY`` | the broker, as that client's will | server |

All at QoS 1, in clean sessions: what is lost with a connection is asked for again by Hello.
"""

from __future__ import annotations

import queue
import socket
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from zo_core.federation.mqtt.security import Security

if TYPE_CHECKING:
    import paho.mqtt.client as paho

SERVER = "server"
KEEP_ALIVE_S = 30
_IN_FLIGHT = 64  # messages handed to the connection and not yet acknowledged
_MOST_REQUESTS = 4  # of one receiver that wait to be answered
_CONNECT_S = 10.0
_RETRY_S = 0.5


class LinkError(OSError):
    """The broker cannot be reached, or turns this party away."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a connection tells."""

    kind: Literal["connected", "lost", "message", "sent"]
    topic: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Topics:
    """Names below a prefix that the run's parties share."""

    prefix: str = "zo"

    @property
    def everyone(self) -> str:
        """From the server to all."""
        return f"{self.prefix}/all"

    def down(self, identity: str) -> str:
        """From the server to one client."""
        return f"{self.prefix}/down/{identity}"

    def up(self, identity: str) -> str:
        """From a client to the server."""
        return f"{self.prefix}/up/{identity}"

    def gone(self, identity: str) -> str:
        """A client's will."""
        return f"{self.prefix}/gone/{identity}"


class Link:
    """One party's connection to a broker; it reconnects by itself.

    Args:
        identity: the client id; :data:`SERVER` for the server.
        subscriptions: topics to listen to.
        will: topic on which the broker tells of a broken connection; None for none.
    """

    def __init__(self, identity: str, subscriptions: list[str], *, will: str | None) -> None:
        self.identity = identity
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.sent_messages = self.received_messages = 0
        self._subscriptions, self._will = subscriptions, will
        self._connected = False
        self._outgoing: deque[tuple[str, Iterator[bytes]]] = deque()
        self._pieces: deque[tuple[str, Iterator[bytes]]] = deque()
        self._in_flight = 0
        self._failure: str | None = None
        self._client: paho.Client | None = None

    def open(self, host: str, port: int, security: Security, *, patience_s: float = 0.0) -> None:
        """Connect.

        Args:
            host: the broker's.
            port: TCP port.
            security: how the connection is kept private.
            patience_s: how long to try again while nobody answers.

        Raises:
            InsecureError: the connection would be plain, and leave this machine.
            LinkError: the broker cannot be reached, or refuses.
            ImportError: paho-mqtt is not installed; the message names the extra.
        """
        security.require_private(host)
        client = self._client = new_client(self.identity)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe, client.on_message = self._on_subscribe, self._on_message
        client.on_publish = self._on_publish
        if self._will is not None:
            client.will_set(self._will, b"", qos=1)
        if security.username is not None:
            client.username_pw_set(security.username, security.password)
        context = security.context()
        if context is not None:
            client.tls_set_context(context)
        ends_s = time.monotonic() + patience_s
        while True:
            try:
                client.connect(host, port, keepalive=KEEP_ALIVE_S)
                break
            except OSError as error:
                if time.monotonic() >= ends_s:
                    raise LinkError(f"no broker answers at {host}:{port} ({error})") from error
                time.sleep(_RETRY_S)
        client.loop_start()
        self._await_connection(host, port)

    def send(self, topic: str, bodies: Iterator[bytes]) -> None:
        """Send messages after all that were handed over before; dropped while not connected."""
        if self._connected:
            self._outgoing.append((topic, bodies))
            self.pump()

    def send_pieces(self, topic: str, pieces: Iterator[bytes]) -> None:
        """Send pieces of a long body: after shorter messages, and by turns with other topics.

        Dropped while not connected, and where the topic's receiver asks faster than it gets.
        """
        waiting = sum(waits == topic for waits, _ in self._pieces)
        if self._connected and waiting < _MOST_REQUESTS:
            self._pieces.append((topic, pieces))
            self.pump()

    def leave(self, topic: str, body: bytes) -> None:
        """Have the broker keep a message for those who subscribe later; an empty one for none."""
        assert self._client is not None  # opened
        if self._connected:
            self._in_flight += 1
            self._client.publish(topic, body, qos=1, retain=True)

    def pump(self) -> None:
        """Hand more of what waits to the connection, as far as its window allows."""
        assert self._client is not None  # opened
        while self._in_flight < _IN_FLIGHT:
            message = self._next_message()
            if message is None:
                return
            self._in_flight += 1
            self.sent_messages += 1
            self._client.publish(*message, qos=1)

    def _next_message(self) -> tuple[str, bytes] | None:
        """Take the topic and body that is next in line."""
        while self._outgoing:
            topic, bodies = self._outgoing[0]
            if (body := next(bodies, None)) is not None:
                return topic, body
            self._outgoing.popleft()
        while self._pieces:
            topic, bodies = self._pieces.popleft()
            if (body := next(bodies, None)) is not None:
                self._pieces.append((topic, bodies))
                return topic, body
        return None

    @property
    def idle(self) -> bool:
        """Whether everything that was sent has been acknowledged by the broker."""
        return not self._outgoing and not self._pieces and self._in_flight == 0

    def next_event(self, timeout_s: float) -> Event | None:
        """Wait for an event; None when time is up."""
        try:
            event = self.events.get(timeout=max(timeout_s, 0.0))
        except queue.Empty:
            return None
        if event.kind == "sent":
            self._in_flight = max(0, self._in_flight - 1)
            self.pump()
        elif event.kind in ("lost", "connected"):
            self._connected = event.kind == "connected"
            self._outgoing.clear()
            self._pieces.clear()
            self._in_flight = 0
        return event

    def close(self) -> None:
        """Say goodbye to the broker."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()

    def _await_connection(self, host: str, port: int) -> None:
        event = self.next_event(_CONNECT_S)
        if event is None or event.kind != "connected":
            self.close()
            why = self._failure or "it does not answer"
            raise LinkError(f"the broker at {host}:{port} turns {self.identity!r} away: {why}")
        self.events.put(event)

    # --- called by the connection's thread -------------------------------------------------------

    def _on_connect(self, client: Any, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
        if code.is_failure:
            self._failure = str(code)
            self.events.put(Event("lost"))
        else:
            client.subscribe([(topic, 1) for topic in self._subscriptions])

    def _on_subscribe(self, _client: Any, _data: Any, _mid: Any, codes: Any, _more: Any) -> None:
        refused = [code for code in codes if code.is_failure]
        if refused:
            self._failure = f"subscription refused ({refused[0]})"
        self.events.put(Event("lost" if refused else "connected"))

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
        self._failure = self._failure or str(code)
        self.events.put(Event("lost"))

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        self.received_messages += 1
        self.events.put(Event("message", message.topic, bytes(message.payload)))

    def _on_publish(self, _client: Any, _data: Any, _mid: Any, _code: Any, _more: Any) -> None:
        self.events.put(Event("sent"))


def new_client(identity: str) -> paho.Client:
    """Make a connection of MQTT 3.1.1 that sends small messages at once.

    Raises:
        ImportError: paho-mqtt is not installed; the message names the extra.
    """
    try:
        import paho.mqtt.client as paho
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError as error:
        raise ImportError('paho-mqtt is not installed: pip install -e ".[mqtt]"') from error
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=identity, clean_session=True, protocol=paho.MQTTv311
    )
    client.reconnect_delay_set(min_delay=1, max_delay=30)
    client.max_inflight_messages_set(_IN_FLIGHT)
    client.on_socket_open = _without_delay
    return client


def _without_delay(_client: Any, _data: Any, connection: Any) -> None:
    """Send small messages at once: Nagle's algorithm would hold them for 40 ms a leg."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
