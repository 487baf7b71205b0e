"""Many stub clients in one thread: connections of their own, driven as their sockets are ready.

What is measured with them is the server and the broker, so that clients cost as little as may be.
"""

from __future__ import annotations

import selectors
import tempfile
import time
from collections import deque
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.workloads.wire_stub import PATIENCE_S, TOPICS, StubTrainer
from zo_core.federation.mqtt.connection import new_client
from zo_core.federation.protocol.actions import Action, Compute, Stop
from zo_core.federation.protocol.client import Client
from zo_core.federation.protocol.compute_update import compute_update

_TICK_S = 1.0


class Member:
    """One client and its connection.

    Args:
        number: its slot.
        spool: folder for bodies on their way.
        weights: of the model.
    """

    def __init__(self, number: int, spool: Path, weights: int) -> None:
        spool.mkdir()
        self.name = f"c{number}"
        self.client = Client(StubTrainer(weights), high=True, slot=number, spool=spool)
        self._bodies: deque[bytes] = deque()
        self.paho = new_client(self.name)
        self.paho.will_set(TOPICS.gone(self.name), b"", qos=1)
        self.paho.on_connect = self._on_connect
        self.paho.on_subscribe = self._on_subscribe
        self.paho.on_message = lambda *given: self._bodies.append(given[2].payload)

    def _on_connect(self, client: Any, *_: Any) -> None:
        client.subscribe([(TOPICS.everyone, 1), (TOPICS.down(self.name), 1)])

    def _on_subscribe(self, *_: Any) -> None:
        self._act(self.client.connected(time.monotonic()))

    def ready(self) -> None:
        """Read what came, answer it."""
        self.paho.loop_read()
        while self._bodies:
            self._act(self.client.receive(self._bodies.popleft(), time.monotonic()))
        self.write()

    def tick(self) -> None:
        """Let time pass."""
        self._act(self.client.tick(time.monotonic()))
        self.paho.loop_misc()
        self.write()

    def write(self) -> None:
        """Send what waits."""
        if self.paho.want_write():
            self.paho.loop_write()

    def _act(self, actions: Iterable[Action]) -> None:
        todo = deque(actions)
        while todo:
            action = todo.popleft()
            if isinstance(action, Compute):
                todo.extend(compute_update(self.client, action))
            elif isinstance(action, Stop):
                self.paho.publish(TOPICS.gone(self.name), b"", qos=1)
            else:
                for body in action.bodies():
                    self.paho.publish(TOPICS.up(self.name), body, qos=1)


def drive_fleet(*, host: str, port: int, first: int, count: int, weights: int) -> dict[str, Any]:
    """Run stub clients first .. first + count to the end of their run.

    Returns:
        The rounds that each ended at, and what happened on the way, by name.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        selector = stack.enter_context(selectors.DefaultSelector())
        numbers = range(first, first + count)
        members = [Member(number, folder / str(number), weights) for number in numbers]
        for member in members:
            selector.register(_connected(member, host, port), selectors.EVENT_READ, member)
        _drive(members, selector)
        for member in members:
            member.paho.disconnect()
    events: dict[str, int] = {}
    for member in members:
        for name, times in member.client.events.items():
            events[name] = events.get(name, 0) + times
    return {"rounds": [member.client.next_round for member in members], "events": events}


def _connected(member: Member, host: str, port: int) -> Any:
    """Connect; return the socket."""
    ends_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            member.paho.connect(host, port, keepalive=60)
            return member.paho.socket()
        except OSError:
            if time.monotonic() > ends_s:
                raise
            time.sleep(0.2)


def _drive(members: list[Member], selector: selectors.BaseSelector) -> None:
    ticked_s = time.monotonic()
    while not all(member.client.over for member in members):
        for key, _ in selector.select(_TICK_S):
            key.data.ready()
            waits = selectors.EVENT_WRITE if key.data.paho.want_write() else 0
            if key.events != selectors.EVENT_READ | waits:
                selector.modify(key.fileobj, selectors.EVENT_READ | waits, key.data)
        if time.monotonic() - ticked_s > _TICK_S:
            ticked_s = time.monotonic()
            for member in members:
                member.tick()
