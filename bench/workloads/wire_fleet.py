"""Many stub clients in one thread: connections of their own, driven as their sockets are ready.

What is measured with them is the server and the broker, so clients cost as little as possible: the
first is a whole client, which replays each result and checks its digest; the others echo.
"""

from __future__ import annotations

import selectors
import socket
import tempfile
import time
from collections import deque
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from bench.workloads.wire_echo import Echo, Heard
from bench.workloads.wire_stub import PATIENCE_S, TOPICS, StubTrainer
from zo_core.federation.mqtt import packets
from zo_core.federation.protocol.actions import Action, Compute, Stop
from zo_core.federation.protocol.client import Client
from zo_core.federation.protocol.compute_update import compute_update

_TICK_S = 1.0
_KEEP_ALIVE_S = 60
_READ_BYTES = 1 << 18


class Member:
    """One client and its connection.

    Args:
        number: its slot.
        client: answers the server.
    """

    def __init__(self, number: int, client: Client | Echo) -> None:
        self.name, self.client = f"c{number}", client
        self._reader = packets.Reader(packets.MOST_BYTES)
        self._out = bytearray()
        self._packet_id, self._pinged_s = 1, time.monotonic()

    def connect(self, host: str, port: int) -> socket.socket:
        """Connect; what the broker answers is read later."""
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        will = TOPICS.gone(self.name), b""
        request = packets.Connect(client_id=self.name, keep_alive_s=_KEEP_ALIVE_S, will=will)
        topics = [TOPICS.everyone, TOPICS.down(self.name)]
        self._out += packets.connect(request) + packets.subscribe(1, topics)
        self.write()
        return self.socket

    @property
    def wants_write(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._out)

    def ready(self) -> None:
        """Read what came, answer it."""
        with suppress(BlockingIOError):
            for packet in self._reader.feed(self.socket.recv(_READ_BYTES)):
                self._handle(packet)
        self.write()

    def tick(self) -> None:
        """Let time pass."""
        self._act(self.client.tick(time.monotonic()))
        if time.monotonic() - self._pinged_s > _KEEP_ALIVE_S / 2:
            self._pinged_s = time.monotonic()
            self._out += packets.packet(packets.Kind.PINGREQ)
        self.write()

    def write(self) -> None:
        """Send what waits, as far as the system takes it."""
        with suppress(BlockingIOError):
            while self._out:
                del self._out[: self.socket.send(self._out)]

    def _handle(self, packet: packets.Packet) -> None:
        if packet.kind == packets.Kind.SUBACK:
            self._act(self.client.connected(time.monotonic()))
        elif packet.kind == packets.Kind.PUBLISH:
            message = packets.read_publish(packet)
            if message.packet_id is not None:
                self._out += packets.puback(message.packet_id)
            if message.body:
                self._act(self.client.receive(message.body, time.monotonic()))

    def _act(self, actions: Iterable[Action]) -> None:
        todo = deque(actions)
        while todo:
            action = todo.popleft()
            if isinstance(action, Compute):
                assert isinstance(self.client, Client)  # an echo computes nothing
                todo.extend(compute_update(self.client, action))
            elif isinstance(action, Stop):
                self._publish(TOPICS.gone(self.name), b"")
            else:
                for body in action.bodies():
                    self._publish(TOPICS.up(self.name), body)

    def _publish(self, topic: str, body: bytes) -> None:
        self._packet_id = self._packet_id % 65_535 + 1
        self._out += packets.publish(topic, body, self._packet_id)


def drive_fleet(
    *, host: str, port: int, first: int, count: int, weights: int, echoes_only: bool = False
) -> list[Client | Echo]:
    """Run stub clients first .. first + count to the end of their run, and return them.

    Echoes take part in rounds of scalars only.
    """
    with ExitStack() as stack:
        spool = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        selector = stack.enter_context(selectors.DefaultSelector())
        heard = Heard()
        clients: list[Client | Echo] = [Echo(heard, first + i) for i in range(count)]
        if not echoes_only:
            clients[0] = Client(StubTrainer(weights), high=True, slot=first, spool=spool)
        members = [Member(first + i, client) for i, client in enumerate(clients)]
        for member in members:
            selector.register(_connected(member, host, port), selectors.EVENT_READ, member)
            stack.callback(member.socket.close)
        _drive(members, selector)
    return [member.client for member in members]


def _connected(member: Member, host: str, port: int) -> Any:
    """Connect; return the socket."""
    ends_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return member.connect(host, port)
        except OSError:
            if time.monotonic() > ends_s:
                raise
            time.sleep(0.2)


def _drive(members: list[Member], selector: selectors.BaseSelector) -> None:
    ticked_s = time.monotonic()
    while not all(member.client.over for member in members):
        for key, _ in selector.select(_TICK_S):
            key.data.ready()
            waits = selectors.EVENT_WRITE if key.data.wants_write else 0
            if key.events != selectors.EVENT_READ | waits:
                selector.modify(key.fileobj, selectors.EVENT_READ | waits, key.data)
        if time.monotonic() - ticked_s > _TICK_S:
            ticked_s = time.monotonic()
            for member in members:
                member.tick()
