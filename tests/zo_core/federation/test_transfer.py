"""Long bodies over slow links: every piece comes, whatever a broker queues by default."""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
from brokers import broker
from optional import needs
from throttle import Throttle
from waiting import NEVER_S, WAIT_S

from bench.workloads.wire_stub import StubTrainer, stub_replica
from zo_core.algorithms import train_config
from zo_core.federation.mqtt.link import SERVER, Topics
from zo_core.federation.mqtt.loops import client_link, join, serve, server_link
from zo_core.federation.mqtt.security import Security
from zo_core.federation.protocol.client import Client
from zo_core.federation.protocol.open_round import RoundSummary
from zo_core.federation.protocol.plan import Plan, Rules
from zo_core.federation.protocol.serving import begin
from zo_core.federation.protocol.transfer import Chunk
from zo_core.federation.store import MemoryStore
from zo_core.method import RoundContext
from zo_core.payloads.core import DenseWeights, Payload, PayloadError

pytestmark = [
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.process,
]
TOPICS = Topics("zo-test")
CHUNK_BYTES = 4096
PIECES = 1159  # a ViT in pieces of 64 KiB; Mosquitto queues 1,000 messages for a client
WEIGHTS = (PIECES - 1) * CHUNK_BYTES // 4
SAMPLES = 8
BROKERS = [
    "embedded",
    pytest.param("mosquitto", marks=needs("mosquitto")),
]


class Adding(StubTrainer):
    """Adds the slot to each weight, so that the mean of all is known."""

    def update(self, context: RoundContext) -> Payload:
        return DenseWeights(
            run_id=context.run_id,
            round_index=context.round_index,
            slot=self._slot,
            samples=self._plan.samples,
            values=self.replica.values() + np.float32(self._slot),
        )


class Counting(Client):
    """Counts the pieces that come."""

    pieces = 0

    def receive(self, body: bytes, now_s: float):
        with suppress(PayloadError):
            self.pieces += isinstance(Payload.decode(body), Chunk)
        return super().receive(body, now_s)


def plan_of(clients: int, rounds: int) -> Plan:
    config = train_config(
        algorithm="fedavg",
        clients=clients,
        high_share=0.5,
        rounds=rounds,
        pivot=0,
        warmup_cohort=clients,
    )
    return Plan(config, run_id=7, samples=SAMPLES, chunk_bytes=CHUNK_BYTES)


def run_client(number: int, port: int, folder: Path, clients: dict[int, Counting]) -> None:
    spool = folder / f"c{number}"
    spool.mkdir()
    client = clients[number] = Counting(Adding(WEIGHTS), high=True, slot=number, spool=spool)
    link = client_link(TOPICS, f"c{number}")
    link.open("127.0.0.1", port, Security(), patience_s=WAIT_S)
    join(client, link, TOPICS)
    link.close()


def run_all(
    plan: Plan, port: int, near: int, folder: Path
) -> tuple[list[RoundSummary], float, dict[int, Counting]]:
    """Run server and clients, these by another port; return rounds, the weights, clients."""
    notes: list[RoundSummary] = []
    clients: dict[int, Counting] = {}
    numbers = range(plan.config.clients)
    threads = [
        threading.Thread(target=run_client, args=(n, near, folder, clients), daemon=True)
        for n in numbers
    ]
    rules = Rules(wait_for=len(numbers), warmup_deadline_s=NEVER_S)
    replica = stub_replica(WEIGHTS)
    server = begin(plan, rules, replica, MemoryStore(), folder / "spool", on_round=notes.append)
    with ExitStack() as stack:
        link = server_link(TOPICS, SERVER)
        link.open("127.0.0.1", port, Security())
        stack.callback(link.close)
        for thread in threads:
            thread.start()
        serve(server, link, TOPICS, linger_s=WAIT_S)
        for thread in threads:
            thread.join(WAIT_S)
    assert len(set(replica.values().tolist())) == 1
    return notes, float(replica.values()[0]), clients


@pytest.mark.parametrize("kind", BROKERS)
@pytest.mark.parametrize("slow", ["down", "up"])
def test_a_model_crosses_a_slow_link_whole_with_a_reconnect_in_the_middle(
    tmp_path: Path, kind: str, slow: str
) -> None:
    """GIVEN a link that takes seconds for what the other end sends at once."""
    plan, bytes_per_s = plan_of(2, 1), 4e6
    rates = {"down_rate": bytes_per_s} if slow == "down" else {"up_rate": bytes_per_s}
    with broker(kind, tmp_path, TOPICS) as port, ExitStack() as stack:
        road = Throttle(port, **rates)
        stack.callback(road.close)
        road.cut_at = PIECES * CHUNK_BYTES // 2
        notes, weight, clients = run_all(plan, port, road.port, tmp_path)
    assert road.cuts == 1
    assert [note.num_accepted for note in notes] == [2]
    assert weight == 0.5 + 0.5
    came = [client.pieces for client in clients.values()]
    assert PIECES <= min(came) <= max(came) <= PIECES + 64  # what was on its way came twice


@pytest.mark.parametrize("kind", BROKERS)
def test_four_uploads_at_once_reach_a_server_by_a_slow_link(tmp_path: Path, kind: str) -> None:
    plan = plan_of(4, 1)
    with broker(kind, tmp_path, TOPICS) as port, ExitStack() as stack:
        road = Throttle(port, down_rate=8e6)
        stack.callback(road.close)
        notes, weight, clients = run_all(plan, road.port, port, tmp_path)
    assert [note.num_accepted for note in notes] == [4]
    assert weight == 0.5 + np.mean(range(4))
    assert max(client.pieces for client in clients.values()) <= PIECES + 16  # offers come again
