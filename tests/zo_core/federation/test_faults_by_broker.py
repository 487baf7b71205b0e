"""The fault matrix over real brokers: what is lost, repeated or late changes no digest."""

from __future__ import annotations

import random
from collections import deque
from pathlib import Path

import pytest
from brokers import broker
from network import reference
from optional import needs
from test_mqtt import TOPICS, new_server, run_all

from zo_core.federation.mqtt.link import Link
from zo_core.federation.mqtt.reconnecting_session import Event
from zo_core.federation.protocol import patience

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.network,
    pytest.mark.process,
    pytest.mark.slow,
]
BROKERS = ["embedded", pytest.param("mosquitto", marks=needs("mosquitto"))]
MOST_LOST = 4  # messages of a run; each costs the seconds after which a client asks again
SILENCE_S = (1.0, 4.0)  # the product's, shortened by ten: a held message costs the same wait


class Faults:
    """Repeats, loses or holds back messages of all parties, by a seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._draws: dict[str, random.Random] = {}  # by party: threads share none
        self._held: dict[int, deque[Event]] = {}  # by link
        self.done = 0

    def _draw(self, link: Link) -> float:
        own = random.Random(f"{self._seed} {link.identity}")
        return self._draws.setdefault(link.identity, own).random()

    def repeated(self, link: Link, event: Event) -> list[Event]:
        """Deliver everything twice."""
        self.done += 1
        return [event, event]

    def lost(self, link: Link, event: Event) -> list[Event]:
        """Lose a few."""
        if self.done < MOST_LOST and self._draw(link) < 0.1:
            self.done += 1
            return []
        return [event]

    def late(self, link: Link, event: Event) -> list[Event]:
        """Let some be overtaken by the next one of the same party."""
        held = self._held.setdefault(id(link), deque())
        if not held and self._draw(link) < 0.3:
            self.done += 1
            held.append(event)
            return []
        return [event, *(held.popleft() for _ in range(len(held)))]


@pytest.mark.parametrize("kind", BROKERS)
@pytest.mark.parametrize("fault", ["repeated", "lost", "late"])
def test_a_run_with_faults_ends_at_the_digest_of_the_run_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, fault: str
) -> None:
    faults, receive = Faults(seed=1), Link.next_event
    again: dict[int, deque[Event]] = {}

    def next_event(link: Link, timeout_s: float) -> Event | None:
        made = again.setdefault(id(link), deque())
        if made:
            return made.popleft()
        event = receive(link, timeout_s)
        if event is None or event.kind != "message" or not event.body:
            return event
        made.extend(getattr(faults, fault)(link, event))
        return made.popleft() if made else None

    monkeypatch.setattr(Link, "next_event", next_event)
    monkeypatch.setattr(patience, "SILENCE_S", SILENCE_S)
    server = new_server(tmp_path)
    with broker(kind, tmp_path, TOPICS) as port:
        clients = run_all(server, port, tmp_path)
    expected = reference(server.plan).digest()
    assert faults.done >= MOST_LOST
    assert server.replica.digest() == expected
    assert {c.replica.digest() for c in clients.values() if c.replica} == {expected}
