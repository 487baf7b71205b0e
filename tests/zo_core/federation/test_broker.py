"""The embedded broker's limits: what is above one ends or is dropped, and rounds go on."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

import pytest
from waiting import NEVER_S, WAIT_S, free_port

from zo_core.federation.mqtt import packets
from zo_core.federation.mqtt.broker import EmbeddedBroker
from zo_core.federation.mqtt.limits import Bucket, Limits, TurnedAway
from zo_core.federation.mqtt.link import SERVER, Link, Topics
from zo_core.federation.mqtt.loops import client_link, server_link
from zo_core.federation.mqtt.reconnecting_session import LinkError
from zo_core.federation.mqtt.security import Security

pytestmark = pytest.mark.network
TOPICS = Topics("zo-test")
SMALL = Limits(
    packet_bytes=2048,
    first_packet_bytes=256,
    clients=4,
    buffered_bytes=1 << 20,
    queued_bytes=1 << 18,
    messages_per_s=200.0,
    connect_s=NEVER_S,
)


@contextmanager
def broker(limits: Limits = SMALL) -> Iterator[tuple[EmbeddedBroker, int]]:
    port = free_port()
    own = EmbeddedBroker("127.0.0.1", port, TOPICS, SERVER, limits=limits)
    own.start()
    try:
        yield own, port
    finally:
        own.stop()


def opened(link: Link, port: int) -> Link:
    link.open("127.0.0.1", port, Security())
    assert link.next_event(WAIT_S).kind == "connected"
    return link


def bodies(link: Link) -> Iterator[bytes]:
    """Messages as they come."""
    while (event := link.next_event(WAIT_S)) is not None:
        if event.kind == "message":
            yield event.body


def connected(port: int) -> socket.socket:
    """A bare connection."""
    return socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)


def introduced(port: int, name: str) -> socket.socket:
    """A bare connection of a client."""
    raw = connected(port)
    raw.sendall(packets.connect(packets.Connect(client_id=name, keep_alive_s=60)))
    assert raw.recv(4) == packets.connack(packets.ConnectCode.ACCEPTED)
    return raw


def ended(raw: socket.socket) -> bool:
    """Whether the broker has closed a connection."""
    try:
        while raw.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("above", [0, 1])
def test_a_message_above_the_limit_ends_its_connection_and_no_other(above: int) -> None:
    topic = TOPICS.up("c1")
    body = bytes(SMALL.packet_bytes - len(topic) - 4 + above)
    with broker() as (own, port):
        server = opened(server_link(TOPICS, SERVER), port)
        other = opened(client_link(TOPICS, "c2"), port)
        raw = introduced(port, "c1")
        raw.sendall(packets.publish(topic, body, 1))
        assert (raw.recv(4) == packets.puback(1)) is (above == 0)
        other.send(TOPICS.up("c2"), iter([b"still here"]))
        expected = [body] * (1 - above) + [b"still here"]
        assert list(islice(bodies(server), len(expected))) == expected
        assert own.turned_away == ({"connections with over-long packets": 1} if above else {})
        for link in (server, other):
            link.close()
        raw.close()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "connections that fell silent"),
        (packets.publish("zo-test/up/c1", b"x"), "connections with malformed packets"),
        (bytes([0x10, 0xFF, 0xFF, 0xFF, 0xFF]), "connections with malformed packets"),
        (bytes([0x10, 0x80, 0x04]), "connections with over-long packets"),
    ],
    ids=["nothing", "no CONNECT", "no length", "too long"],
)
def test_who_does_not_introduce_itself_is_turned_away(sent: bytes, reason: str) -> None:
    limits = SMALL if sent else replace(SMALL, connect_s=1.0)
    with broker(limits) as (own, port), connected(port) as raw:
        raw.sendall(sent)
        assert ended(raw)
        assert own.turned_away == {reason: 1}


def test_connections_beyond_the_limit_are_closed_and_those_there_stay() -> None:
    with broker() as (own, port):
        here = [introduced(port, f"c{i}") for i in range(SMALL.clients + 1)]
        with connected(port) as more:
            assert ended(more)
        for raw in here:
            raw.sendall(packets.packet(packets.Kind.PINGREQ))
            assert raw.recv(2) == packets.packet(packets.Kind.PINGRESP)
            raw.close()
        assert own.turned_away["connections beyond the limit"] == 1


def test_a_client_is_held_to_its_rate_and_loses_nothing() -> None:
    count = int(3 * SMALL.messages_per_s)
    with broker() as (_, port):
        server = opened(server_link(TOPICS, SERVER), port)
        raw, began_s = introduced(port, "c1"), time.monotonic()
        raw.sendall(b"".join(packets.publish(TOPICS.up("c1"), b"%d" % i) for i in range(count)))
        assert list(islice(bodies(server), count)) == [b"%d" % i for i in range(count)]
        raw.sendall(packets.packet(packets.Kind.PINGREQ))
        while not raw.recv(1 << 16).endswith(packets.packet(packets.Kind.PINGRESP)):
            pass
        assert time.monotonic() - began_s >= 1.0  # a second's worth goes at once, then it waits
        server.close()
        raw.close()


def test_a_client_that_does_not_read_costs_bounded_memory_and_holds_nobody_up() -> None:
    with broker() as (own, port):
        server = opened(server_link(TOPICS, SERVER), port)
        raw = introduced(port, "c1")
        raw.sendall(packets.subscribe(1, [TOPICS.everyone]))
        other = opened(client_link(TOPICS, "c2"), port)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for index in range(400):
            server.send(TOPICS.everyone, iter([b"%d" % index + bytes(1 << 17)]))
            while not server.idle:
                server.next_event(WAIT_S)
            assert next(bodies(other)).startswith(b"%d" % index)
        grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert own.turned_away["messages to clients that do not read"] > 100
        assert grown_mib < 64  # of 50 MiB sent to each
        for link in (server, other):
            link.close()
        raw.close()


def test_a_second_client_of_a_name_takes_over_and_the_first_comes_back() -> None:
    with broker() as (own, port):
        server = opened(server_link(TOPICS, SERVER), port)
        first = opened(client_link(TOPICS, "c1"), port)
        second = introduced(port, "c1")
        event = server.next_event(WAIT_S)
        assert (event.kind, event.topic) == ("message", TOPICS.gone("c1"))
        assert first.next_event(WAIT_S).kind == "lost"
        assert first.next_event(WAIT_S).kind == "connected"
        assert ended(second)
        second.close()
        assert own.turned_away == {"connections displaced by another of their name": 2}
        for link in (server, first):
            link.close()


def test_nobody_takes_the_servers_name() -> None:
    with broker() as (own, port):
        server = opened(server_link(TOPICS, SERVER), port)
        with pytest.raises(LinkError, match="refuses 'server': Name refused"):
            server_link(TOPICS, SERVER).open("127.0.0.1", port, Security())
        assert own.turned_away == {"connects: identity refused": 1}
        server.close()


def test_a_client_hears_and_says_only_what_is_its_own() -> None:
    with broker() as (own, port):
        server = opened(server_link(TOPICS, SERVER), port)
        raw = introduced(port, "c1")
        raw.sendall(packets.subscribe(1, [TOPICS.down("c2"), TOPICS.down("c1")]))
        assert raw.recv(6) == packets.suback(1, [128, 0])
        raw.sendall(packets.publish(TOPICS.up("c2"), b"forged"))
        raw.sendall(packets.publish(TOPICS.up("c1"), b"own"))
        assert next(bodies(server)) == b"own"
        assert own.turned_away["messages to topics of others"] == 1
        server.close()
        raw.close()


def test_what_was_turned_away_is_logged_in_one_line_with_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    turned_away = TurnedAway(every_s=NEVER_S)
    for _ in range(1000):
        turned_away.note("connections with malformed packets")
        turned_away.log()
    assert [record.getMessage() for record in caplog.records] == [
        "the broker turned away: 1 connections with malformed packets"
    ]


def test_a_bucket_lets_a_seconds_worth_through_and_then_the_rate() -> None:
    bucket = Bucket(10.0, 0.0)
    assert [bucket.take(0.0) for _ in range(10)] == [0.0] * 10
    assert bucket.take(0.0) == pytest.approx(0.1)
    assert bucket.take(5.0) == 0.0
