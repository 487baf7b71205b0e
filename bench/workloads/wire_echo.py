"""A stub client that repeats what it is told: all its own work is done once for a whole fleet."""

from __future__ import annotations

from collections import Counter

import numpy as np

from zo_core.federation.protocol.actions import Action, Send, Stop
from zo_core.federation.protocol.messages import HIGH, NO_DIGEST, Announce, Hello, Welcome
from zo_core.federation.protocol.plan import Plan
from zo_core.payloads.core import Payload, RoundResult, ScalarUpdate

_SLOT = slice(16, 20)  # of an encoded ScalarUpdate: after prefix, run and round


class Heard:
    """What the clients of a fleet have heard, decoded once, and their answer, encoded once."""

    def __init__(self) -> None:
        self._body, self._message = b"", Payload(run_id=0, round_index=0)
        self._plan: Plan | None = None
        self._answer = b""
        self._answers: tuple[int, bytes] | None = None  # the round and digest of the answer

    def decode(self, body: bytes) -> Payload:
        """Decode a message, unless it is the one before."""
        if body != self._body:
            self._body, self._message = body, Payload.decode(body)
        return self._message

    def plan(self, welcome: Welcome) -> Plan:
        """Return the run's plan."""
        if self._plan is None:
            run_id, run_seed = welcome.run_id, welcome.run_seed
            self._plan = Plan.from_json(welcome.plan, run_id=run_id, run_seed=run_seed)
        return self._plan

    def answer(self, plan: Plan, round_index: int, digest: bytes, slot: int) -> bytes:
        """Encode zero scalars of a slot."""
        if self._answers != (round_index, digest):
            update = ScalarUpdate(
                run_id=plan.run_id,
                round_index=round_index,
                slot=0,
                digest=digest,
                differences=np.zeros(plan.scalars, np.float32),
            )
            self._answer, self._answers = update.encode(), (round_index, digest)
        head, tail = self._answer[: _SLOT.start], self._answer[_SLOT.stop :]
        return b"".join((head, slot.to_bytes(4, "little"), tail))


class Echo:
    """Answers each round at once with zero scalars, under the digest that the server names.

    It stores no weights, checks no digest and repeats nothing, so a message that is lost shows in
    the server's counts.  Its cohorts are the whole fleet.

    Args:
        heard: shared by the fleet.
        slot: the slot to ask for.
    """

    def __init__(self, heard: Heard, slot: int) -> None:
        self.over: Stop | None = None
        self.events: Counter[str] = Counter()
        self.next_round = 0
        self._heard, self._slot = heard, slot
        self._plan: Plan | None = None
        self._digest, self._answered = NO_DIGEST, -1

    def connected(self, now_s: float) -> list[Action]:
        """Say hello."""
        hello = Hello(
            run_id=self._plan.run_id if self._plan else 0,
            round_index=self.next_round,
            digest=self._digest,
            slot=self._slot,
            flags=HIGH,
        )
        return [Send(to=None, body=hello.encode())]

    def tick(self, now_s: float) -> list[Action]:
        """Let time pass."""
        return []

    def receive(self, body: bytes, now_s: float) -> list[Action]:
        """Take a message of the server."""
        if self.over is not None:
            return []
        message = self._heard.decode(body)
        if isinstance(message, Welcome):
            self._plan = self._heard.plan(message)
            return []
        if isinstance(message, RoundResult) and self._plan is not None:
            return self._open(self._plan, message.round_index + 1, message.digest)
        if isinstance(message, Announce):
            return self._announced(message)
        return []  # a catch-up, which it does not need

    def _announced(self, announce: Announce) -> list[Action]:
        plan, roll_call = self._plan, announce.left_ms == 0
        if plan is None or (roll_call and announce.round_index < plan.rounds):
            return self.connected(0.0)
        return self._open(plan, announce.round_index, announce.digest)

    def _open(self, plan: Plan, round_index: int, digest: bytes) -> list[Action]:
        """Answer a round, or stop after the last one."""
        self.next_round, self._digest = round_index, digest
        if round_index >= plan.rounds:
            self.over = Stop(reason=None)
            return [self.over]
        if round_index == self._answered:
            return []
        self._answered = round_index
        return [Send(to=None, body=self._heard.answer(plan, round_index, digest, self._slot))]
