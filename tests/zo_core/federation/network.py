"""A network in memory whose faults a test chooses; time is a number that the test moves."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from parabola import DIM, SAMPLES, Parabola, config, half_square
from parabola import client as data_of

from zo_core.federation import Replica, run_round
from zo_core.federation.protocol.actions import Action, Compute, Stop
from zo_core.federation.protocol.client import Client
from zo_core.federation.protocol.compute_update import compute_update
from zo_core.federation.protocol.plan import Plan, Rules
from zo_core.federation.protocol.server import RoundSummary, Server
from zo_core.federation.protocol.serving import begin, resume
from zo_core.federation.store import MemoryStore, Store
from zo_core.method import ClientData, RoundContext
from zo_core.payloads.core import Payload

ITEMS = 4  # of every client: shards are equal over a network
RUN_ID = 0xABCDEF


def plan_of(algorithm: str = "zowarmup", **changes: Any) -> Plan:
    fields = {"rounds": 9, "pivot": 2, "zo_cohort": 6, **changes}
    chunk_bytes = fields.pop("chunk_bytes", 64)  # a model of 48 bytes and its head in two pieces
    return Plan(config(algorithm, **fields), run_id=RUN_ID, samples=ITEMS, chunk_bytes=chunk_bytes)


def shard(slot: int) -> ClientData:
    whole = data_of(slot)
    index = np.arange(ITEMS) % SAMPLES[slot]
    return ClientData(slot=slot, x=whole.x[index], y=whole.y[index])


def with_parabola(method: Any) -> Any:
    return replace(method, criterion=half_square)


class ParabolaTrainer:
    """Holds the model and the slot's shard."""

    def __init__(self) -> None:
        self.computed: list[int] = []

    def join(self, plan: Plan, slot: int) -> Replica:
        self.plan, self.shard, self.replica = plan, shard(slot), Replica(Parabola(0.7))
        return self.replica

    def update(self, context: RoundContext) -> Payload:
        self.computed.append(context.round_index)
        method = with_parabola(self.plan.method_at(context.round_index))
        return method.client_update(self.replica, self.shard, context)


def reference(plan: Plan, absent: Callable[[int, int], bool] = lambda r, slot: False) -> Replica:
    """The run in one process; a slot that is absent in a round sends nothing there."""
    replica, log = Replica(Parabola()), False
    replica.restore_(replica.snapshot(run_id=0, round_index=0))
    for index in range(plan.rounds):
        method, context = with_parabola(plan.method_at(index)), plan.context_of(index)
        if method.needs_hand_over and not log:
            replica.hand_over_(run_id=0, round_index=index)
            log = True
        if any(absent(index, slot) for slot in context.cohort):
            there = (s for s in context.cohort if not absent(index, s))
            updates = (method.client_update(replica, shard(s), context) for s in there)
            method.server_result(replica, updates, context)
        else:
            run_round(method, replica, shard, context, roster_size=len(SAMPLES))
    return replica


@dataclass(frozen=True, kw_only=True)
class Packet:
    to: str | None  # a client, or None for the server
    sender: str
    body: bytes


Fault = Callable[[Packet], Iterable[Packet]]  # what arrives in its place


@dataclass
class Network:
    """Server, clients and the packets between them; packets arrive in order unless a fault says."""

    plan: Plan
    folder: Path
    rules: Rules = field(default_factory=lambda: Rules(wait_for=6))
    store: Store = field(default_factory=MemoryStore)
    fault: Fault = lambda packet: (packet,)
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.queue: deque[Packet] = deque()
        self.clients: dict[str, Client] = {}
        self.notes: list[RoundSummary] = []
        self.before_compute: Callable[[str, Compute], None] = lambda name, order: None
        self.server = begin(
            self.plan,
            self.rules,
            Replica(Parabola()),
            self.store,
            self.folder / "spool",
            on_round=self.notes.append,
        )
        self.act(None, self.server.start(self.now_s))

    def join(self, name: str, *, high: bool | None = None, slot: int | None = None) -> Client:
        slot = int(name[1:]) if slot is None else slot
        spool = self.folder / name
        spool.mkdir(exist_ok=True)
        high = slot in self.plan.schedule.high if high is None else high
        client = Client(ParabolaTrainer(), high=high, slot=slot, spool=spool)
        self.clients[name] = client
        self.act(name, client.connected(self.now_s))
        return client

    def join_all(self) -> None:
        for slot in range(len(SAMPLES)):
            self.join(f"c{slot}")

    def act(self, who: str | None, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Compute):
                assert who is not None
                self.before_compute(who, action)
                if who in self.clients:
                    self.act(who, compute_update(self.clients[who], action))
            elif not isinstance(action, Stop):
                for body in action.bodies():
                    self.post(who, action.to, body)

    def post(self, who: str | None, to: str | None, body: bytes) -> None:
        if who is None:
            names = list(self.clients) if to is None else [to]
            sent = [Packet(to=name, sender="", body=body) for name in names]
        else:
            sent = [Packet(to=None, sender=who, body=body)]
        for packet in sent:
            self.queue.extend(self.fault(packet))

    def run(self, until: Callable[[], bool] = lambda: False, *, idle_s: float = 1.0) -> None:
        """Deliver; where nothing is on its way let time pass; stop when all is over."""
        for _ in range(20_000):
            if until() or (self.server.over and all(c.over for c in self.clients.values())):
                return
            if self.queue:
                self.deliver(self.queue.popleft())
            else:
                self.pass_time(idle_s)
        raise AssertionError("the run does not end")

    def deliver(self, packet: Packet) -> None:
        if packet.to is None:
            self.act(None, self.server.receive(packet.sender, packet.body, self.now_s))
        elif packet.to in self.clients:
            self.act(packet.to, self.clients[packet.to].receive(packet.body, self.now_s))

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.act(None, self.server.tick(self.now_s))
        for name, client in list(self.clients.items()):
            self.act(name, client.tick(self.now_s))

    def kill(self, name: str, *, will: bool = True) -> None:
        del self.clients[name]
        if will:
            self.act(None, self.server.lost(name, self.now_s))

    def restart_server(self, store: Store | None = None) -> None:
        """Kill it: what it holds in memory, and packets to and from it, are gone."""
        self.queue.clear()
        self.store = self.store if store is None else store
        self.server = resume(
            self.rules,
            lambda plan: Replica(Parabola(0.3)),
            self.store,
            self.folder / "spool",
            on_round=self.notes.append,
        )
        self.act(None, self.server.start(self.now_s))

    def digests(self) -> set[bytes]:
        everyone = [self.server.replica, *(c.replica for c in self.clients.values())]
        for replica in everyone:
            replica.invalidate_digest()
        return {replica.digest() for replica in everyone}


__all__ = ["DIM", "SAMPLES", "Network", "Packet", "Rules", "Server", "plan_of", "reference"]
