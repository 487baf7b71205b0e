"""Driving the state machines over MQTT: events in, time in, messages out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from zo_core.federation.mqtt.link import Link, Topics
from zo_core.federation.mqtt.reconnecting_session import Event
from zo_core.federation.protocol.actions import Action, Compute, Offer, Pieces, Send, Stop
from zo_core.federation.protocol.client import Client
from zo_core.federation.protocol.compute_update import compute_update
from zo_core.federation.protocol.server import Server

TICK_S = 1.0
LINGER_S = 5.0  # that a server stays after the last round, for those who missed its result


def serve(
    server: Server,
    link: Link,
    topics: Topics,
    *,
    refresh: Callable[[], None] = lambda: None,
    linger_s: float = LINGER_S,
) -> Stop:
    """Run a server until its run is over.

    Args:
        server: begun or resumed.
        link: connected, subscribed to what clients publish.
        topics: the run's.
        refresh: called after each event, to show how things stand.
        linger_s: how long to answer those who missed the last result.
    """

    def act(actions: Iterable[Action]) -> None:
        for action in actions:
            if not isinstance(action, Stop | Compute):
                _send(
                    link, topics.everyone if action.to is None else topics.down(action.to), action
                )

    def handle(event: Event | None) -> None:
        now = time.monotonic()
        match event:
            case Event(kind="message"):
                _, kind, identity = event.topic.rsplit("/", maxsplit=2)
                if kind == "gone":
                    act(server.lost(identity, now))
                else:
                    act(server.receive(identity, event.body, now))
            case Event(kind="connected"):
                link.leave(topics.everyone, b"")  # of an earlier run
                act(server.reconnected(now))
            case Event(kind="lost"):
                server.cut_off(now)
            case _:
                act(server.tick(now))

    while server.over is None:
        left_s = server.left_s()
        handle(link.next_event(TICK_S if left_s is None else min(TICK_S, left_s)))
        refresh()
    ends_s = time.monotonic() + linger_s
    while time.monotonic() < ends_s or not link.idle:
        if time.monotonic() > ends_s + linger_s:
            break
        if not server.online and link.idle:
            break
        handle(link.next_event(min(TICK_S, linger_s)))
    _bid_farewell(server, link, topics)
    return server.over


def _bid_farewell(server: Server, link: Link, topics: Topics) -> None:
    """Leave word with the broker that the run is over, for clients that come later."""
    link.leave(topics.everyone, server.farewell().body)
    ends_s = time.monotonic() + TICK_S
    while not link.idle and time.monotonic() < ends_s:
        link.next_event(TICK_S / 10)


def join(
    client: Client, link: Link, topics: Topics, *, refresh: Callable[[], None] = lambda: None
) -> Stop:
    """Run a client until its run is over.

    Args:
        client: new.
        link: connected, subscribed to what the server publishes.
        topics: the run's.
        refresh: called after each event, to show how things stand.
    """
    up = topics.up(link.identity)

    def act(actions: Iterable[Action]) -> None:
        todo = deque(actions)
        while todo:
            action = todo.popleft()
            if isinstance(action, Compute):
                todo.extend(compute_update(client, action))
            elif not isinstance(action, Stop):
                _send(link, up, action)

    while client.over is None:
        event = link.next_event(TICK_S)
        now = time.monotonic()
        match event:
            case Event(kind="message", body=body) if body:
                act(client.receive(body, now))
            case Event(kind="connected"):
                act(client.connected(now))
            case _ if not link.idle:
                client.busy(now)
            case _:
                act(client.tick(now))
        refresh()
    link.send(topics.gone(link.identity), iter([b""]))
    ends_s = time.monotonic() + LINGER_S
    while not link.idle and time.monotonic() < ends_s:
        link.next_event(TICK_S)
    return client.over


def _send(link: Link, topic: str, action: Send | Offer | Pieces) -> None:
    send = link.send_pieces if isinstance(action, Pieces) else link.send
    send(topic, action.bodies())


def server_link(topics: Topics, identity: str) -> Link:
    """Make the server's end."""
    return Link(identity, [topics.up("+"), topics.gone("+")], will=None)


def client_link(topics: Topics, identity: str) -> Link:
    """Make a client's end."""
    subscriptions = [topics.everyone, topics.down(identity)]
    return Link(identity, subscriptions, will=topics.gone(identity))
