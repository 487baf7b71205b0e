"""One party's connection: kept alive while its owner computes, bounded, closed with a goodbye."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from brokers import broker
from waiting import WAIT_S, wait_until

from zo_core.federation.mqtt import reconnecting_session
from zo_core.federation.mqtt.link import SERVER, Link, Topics
from zo_core.federation.mqtt.loops import client_link, server_link
from zo_core.federation.mqtt.reconnecting_session import Event, Session
from zo_core.federation.mqtt.security import Security

pytestmark = pytest.mark.network
TOPICS = Topics("zo-test")
MANY = 300  # messages
FILES = 1100


@pytest.fixture(name="port")
def _port(tmp_path: Path) -> Iterator[int]:
    with broker("embedded", tmp_path, TOPICS) as port:
        yield port


def opened(link: Link, port: int) -> Link:
    link.open("127.0.0.1", port, Security())
    assert next_of(link).kind == "connected"
    return link


def next_of(link: Link) -> Event:
    event = link.next_event(WAIT_S)
    assert event is not None
    return event


def messages(link: Link, count: int) -> list[bytes]:
    """The next messages of a connection that reports nothing else."""
    events = [next_of(link) for _ in range(count)]
    assert {event.kind for event in events} <= {"message"}
    return [event.body for event in events]


def send(link: Link, topic: str, bodies: list[bytes]) -> None:
    """Send messages and wait until the broker has them."""
    link.send(topic, iter(bodies))
    while not link.idle:
        next_of(link)


def test_a_party_that_computes_longer_than_its_keep_alive_stays_connected(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnecting_session, "KEEP_ALIVE_S", 1)
    server, client = opened(server_link(TOPICS, SERVER), port), client_link(TOPICS, "c1")
    opened(client, port)
    time.sleep(3.0)  # a broker waits 1.5 times the keep-alive
    send(client, TOPICS.up("c1"), [b"update"])
    assert messages(server, 1) == [b"update"]
    for link in (server, client):
        link.close()


def test_messages_that_come_together_are_read_together(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    read = Session._read

    def counted(session: Session) -> bytes:
        data = read(session)
        reads.append(len(data))
        return data

    server, client = opened(server_link(TOPICS, SERVER), port), client_link(TOPICS, "c1")
    opened(client, port)
    bodies = [b"%d" % index for index in range(MANY)]
    send(client, TOPICS.up("c1"), bodies)
    monkeypatch.setattr(Session, "_read", counted)
    assert messages(server, MANY) == bodies
    assert len(reads) <= MANY / 10
    for link in (server, client):
        link.close()


def test_what_is_not_taken_is_not_read(port: int) -> None:
    server, client = opened(server_link(TOPICS, SERVER), port), client_link(TOPICS, "c1")
    opened(client, port)
    bodies = [bytes([index]) * (1 << 18) for index in range(64)]
    client.send(TOPICS.up("c1"), iter(bodies))
    came = 0
    while came < len(bodies):
        client.next_event(0.0)
        event = server.next_event(0.0)
        if event is not None and event.kind == "message":
            assert event.body == bodies[came]
            came += 1
            assert server._session._reader.waiting_bytes < 1 << 20
    for link in (server, client):
        link.close()


def test_a_goodbye_arrives_though_messages_were_not_read(port: int) -> None:
    server, client = opened(server_link(TOPICS, SERVER), port), client_link(TOPICS, "c1")
    opened(client, port)
    send(server, TOPICS.down("c1"), [bytes(1 << 10)] * MANY)
    client.close()
    again = opened(client_link(TOPICS, "c2"), port)
    again.close()
    send(server, TOPICS.down("c2"), [b""])
    assert server.next_event(0.2) is None  # no will
    server.close()


def test_a_connection_that_breaks_is_reported_and_comes_back(tmp_path: Path) -> None:
    with broker("embedded", tmp_path, TOPICS) as port:
        client = opened(client_link(TOPICS, "c1"), port)
    assert next_of(client).kind == "lost"
    client.send(TOPICS.up("c1"), iter([b"dropped"]))
    assert client.idle
    assert client.next_event(0.0) is None
    client.close()
    assert wait_until(lambda: not client._session._pings.is_alive())


def test_a_process_with_many_open_files_can_take_part(port: int) -> None:
    """A connection's number may be above 1023, where select() ends."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] < 2 * FILES:
        pytest.skip(f"this machine allows {limits[1]} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], 2 * FILES), limits[1]))
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        for _ in range(FILES):
            stack.enter_context(Path(os.devnull).open("rb"))
        server, client = opened(server_link(TOPICS, SERVER), port), client_link(TOPICS, "c1")
        opened(client, port)
        send(client, TOPICS.up("c1"), [b"update"])
        assert messages(server, 1) == [b"update"]
        for link in (server, client):
            link.close()
