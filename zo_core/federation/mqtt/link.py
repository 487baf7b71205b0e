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

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from zo_core.federation.mqtt.reconnecting_session import Event, LinkError, Session
from zo_core.federation.mqtt.security import Security

SERVER = "server"
_IN_FLIGHT = 64  # messages that the broker has not acknowledged
_MOST_WAITING_BYTES = 1 << 20  # that the system has not taken, from which on nothing is added
_MOST_REQUESTS = 4  # of one receiver that wait to be answered
_RETRY_S = 0.5


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
        self.sent_messages = self.received_messages = 0
        self._events: deque[Event] = deque()
        self._connected = False
        self._outgoing: deque[tuple[str, Iterator[bytes]]] = deque()
        self._pieces: deque[tuple[str, Iterator[bytes]]] = deque()
        self._in_flight = 0
        self._session = Session(identity, subscriptions, will)

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
        """
        security.require_private(host)
        ends_s = time.monotonic() + patience_s
        while True:
            try:
                self._session.open(host, port, security)
                return
            except LinkError as error:
                raise LinkError(
                    f"the broker at {host}:{port} refuses {self.identity!r}: {error}"
                ) from error
            except OSError as error:
                if time.monotonic() >= ends_s:
                    raise LinkError(f"no broker answers at {host}:{port} ({error})") from error
                time.sleep(_RETRY_S)

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
        if self._connected:
            self._in_flight += 1
            self._session.publish(topic, body, retain=True)

    def pump(self) -> None:
        """Hand more of what waits to the connection, as far as its window allows."""
        while self._may_add:
            message = self._next_message()
            if message is None:
                return
            self._in_flight += 1
            self.sent_messages += 1
            self._session.publish(*message)

    @property
    def _may_add(self) -> bool:
        return self._in_flight < _IN_FLIGHT and self._session.waiting_bytes < _MOST_WAITING_BYTES

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
        if not self._events:
            self._events.extend(self._session.events(timeout_s))
            if not self._events:
                return None
        event = self._events.popleft()
        match event.kind:
            case "message":
                self.received_messages += 1
            case "sent":
                self._in_flight = max(0, self._in_flight - 1)
                self.pump()
            case "lost" | "connected":
                self._connected = event.kind == "connected"
                self._outgoing.clear()
                self._pieces.clear()
                self._in_flight = 0
        return event

    def close(self) -> None:
        """Say goodbye to the broker."""
        self._session.close()
