"""A stub client that repeats what it is told: all its own work is done once for a whole fleet."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

import numpy as np

from zo_core.federation.protocol.actions import Action, Send, Stop
from zo_core.federation.protocol.messages import HIGH, NO_DIGEST, Announce, Hello, Welcome
from zo_core.payloads.core import Payload, RoundResult, ScalarUpdate

_SLOT = slice(16, 20)  # of an encoded ScalarUpdate: after prefix, run and round


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What an echo must know of a run."""

    run_id: int
    rounds: int
    directions: int

    @classmethod
    def of(cls, welcome: Welcome) -> Run:
        """Read it from a Welcome, of any version of the plan."""
        config = json.loads(welcome.plan)["config"]
        return cls(run_id=welcome.run_id, rounds=config["rounds"], directions=config["directions"])


class Heard:
    """What the clients of a fleet have heard, decoded once, and their answer, encoded once."""

    def __init__(self) -> None:
        self._body, self._message = b"", Payload(run_id=0, round_index=0)
        self._answer = b""
        self._answers: tuple[int, bytes] | None = None  # the round and digest of the answer

    def decode(self, body: bytes) -> Payload:
        """Decode a message, unless it is the one before."""
        if body != self._body:
            self._body, self._message = body, Payload.decode(body)
        return self._message

    def answer(self, run: Run, round_index: int, digest: bytes, slot: int) -> bytes:
        """Encode zero scalars of a slot."""
        if self._answers != (round_index, digest):
            update = ScalarUpdate(
                run_id=run.run_id,
                round_index=round_index,
                slot=0,
                digest=digest,
                differences=np.zeros(run.directions, np.float32),
            )
            self._answer, self._answers = update.encode(), (round_index, digest)
        head, tail = self._answer[: _SLOT.start], self._answer[_SLOT.stop :]
        return b"".join((head, slot.to_bytes(4, "little"), tail))


class Echo:
    """Answers each round at once with zero scalars, under the digest that the server names.

    It stores no weights, checks no digest and repeats nothing, so a message that is lost shows in
    the server's counts.  Every round's cohort must be the whole fleet.

    Args:
        heard: shared by the fleet.
        slot: the slot to ask for.
    """

    def __init__(self, heard: Heard, slot: int) -> None:
        self.over: Stop | None = None
        self.events: Counter[str] = Counter()
        self.next_round = 0
        self._heard, self._slot = heard, slot
        self._run: Run | None = None
        self._digest, self._answered = NO_DIGEST, -1

    def connected(self, now_s: float) -> list[Action]:
        """Say hello."""
        hello = Hello(
            run_id=self._run.run_id if self._run else 0,
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
            self._run = Run.of(message)
            return []
        if isinstance(message, RoundResult) and self._run is not None:
            return self._open(self._run, message.round_index + 1, message.digest)
        if isinstance(message, Announce):
            return self._announced(message)
        return []  # a catch-up, which it does not need

    def _announced(self, announce: Announce) -> list[Action]:
        run, roll_call = self._run, announce.left_ms == 0
        if run is None or (roll_call and announce.round_index < run.rounds):
            return self.connected(0.0)
        return self._open(run, announce.round_index, announce.digest)

    def _open(self, run: Run, round_index: int, digest: bytes) -> list[Action]:
        """Answer a round, or stop after the last one."""
        self.next_round, self._digest = round_index, digest
        if round_index >= run.rounds:
            self.over = Stop(reason=None)
            return [self.over]
        if round_index == self._answered:
            return []
        self._answered = round_index
        return [Send(to=None, body=self._heard.answer(run, round_index, digest, self._slot))]
