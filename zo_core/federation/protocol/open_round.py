"""The round in flight at the server."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zo_core.federation.protocol.inbox import DenseInbox, Inbox, ScalarInbox
from zo_core.federation.protocol.plan import Plan, Rules
from zo_core.method import RoundContext
from zo_core.payloads.core import ScalarUpdate
from zo_core.replica import Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSummary:
    """What is shown of a round that is over."""

    round_index: int
    method: str
    cohort: int  # clients
    num_accepted: int  # of them whose updates count
    elapsed_s: float  # from its opening


@dataclass(slots=True, kw_only=True)
class OpenRound:
    """A round that waits for updates."""

    context: RoundContext
    inbox: Inbox
    quorum: int  # clients without which it commits empty
    opened_s: float  # on the server's stopwatch
    deadline_s: float
    served: set[str] = field(default_factory=set)  # identities that its model was sent to
    cohort: frozenset[int] = field(init=False)  # slots
    _awaited: str = field(default="", init=False)  # who lacked when last looked; "": nobody

    def __post_init__(self) -> None:
        self.cohort = frozenset(self.context.cohort)

    def lacks(self, slot: int) -> bool:
        """Whether a slot is of the cohort and has not answered."""
        return slot in self.cohort and slot not in self.inbox.arrived

    def takes(self, slot: int, body: bytes) -> bool:
        """Take a body that is just what a slot should send; all others are to be decoded."""
        return slot in self.cohort and self.inbox.take(slot, body)

    @property
    def has_quorum(self) -> bool:
        """Whether the updates there count."""
        return len(self.inbox.arrived) >= self.quorum

    def is_due(self, now_s: float, online: Set[str], roster: Mapping[str, int]) -> bool:
        """Whether its time is up, or nobody is left who could still answer.

        Asked at every message, it looks for who is missing only when that client has answered.
        """
        arrived = len(self.inbox.arrived)
        if now_s >= self.deadline_s or arrived == len(self.cohort):
            return True
        return arrived >= self.quorum and not self._awaits_one(online, roster)

    def _awaits_one(self, online: Set[str], roster: Mapping[str, int]) -> bool:
        """Whether a client that is online has not answered."""
        awaited = self._awaited
        if awaited not in online or roster[awaited] in self.inbox.arrived:
            self._awaited = next((name for name in online if self.lacks(roster[name])), "")
        return bool(self._awaited)


def open_flight(
    plan: Plan, rules: Rules, replica: Replica, *, round_index: int, now_s: float, spool: Path
) -> OpenRound:
    """Open a round.

    Args:
        plan: the run.
        rules: deadline, quorum, clip.
        replica: the model before the round.
        round_index: which one.
        now_s: on the server's stopwatch.
        spool: folder for models on their way.
    """
    method, context = plan.method_at(round_index), plan.context_of(round_index)
    inbox: Inbox
    if plan.is_dense(round_index):
        inbox = DenseInbox(context, count=replica.values().size, folder=spool)
    else:
        inbox = ScalarInbox(_blank(plan, replica, round_index), clip=rules.clip)
    return OpenRound(
        context=context,
        inbox=inbox,
        quorum=rules.quorum_of(len(context.cohort)),
        opened_s=now_s,
        deadline_s=now_s + rules.deadline_of(method),
    )


def _blank(plan: Plan, replica: Replica, round_index: int) -> ScalarUpdate:
    """Compose what slot 0 would send, with zeros."""
    return ScalarUpdate(
        run_id=plan.run_id,
        round_index=round_index,
        slot=0,
        digest=replica.digest_prefix(),
        encoding=plan.encoding,
        loss=0.0 if plan.sends_loss else None,
        differences=np.zeros(plan.scalars, np.float32),
    )
