"""What the server says, composed from the run as it stands."""

from __future__ import annotations

from zo_core.federation.log import RoundLog
from zo_core.federation.protocol import catch_up
from zo_core.federation.protocol.actions import Action, Send, Stream
from zo_core.federation.protocol.messages import Announce, Reason, Refusal, Resync, Welcome
from zo_core.federation.protocol.plan import Plan
from zo_core.federation.protocol.transfer import SERVER_SLOT, Purpose
from zo_core.payloads.core import DenseWeights
from zo_core.replica import Replica


class Outbox:
    """Composes messages; a snapshot of now is encoded once for all who need it.

    Args:
        plan: the run.
        log: its log.
        replica: the model before the log's next round.
    """

    def __init__(self, plan: Plan, log: RoundLog, replica: Replica) -> None:
        self._plan, self._log, self._replica = plan, log, replica
        self._snapshot: bytes | None = None

    def changed(self) -> None:
        """Forget what was encoded of the model."""
        self._snapshot = None

    def welcome(self, to: str) -> Send:
        """Give a client its slot and the plan."""
        message = Welcome(
            run_id=self._plan.run_id,
            round_index=self._log.next_round,
            run_seed=self._plan.config.run_seed,
            slot=self._log.roster[to],
            plan=self._plan.to_json(),
        )
        return Send(to=to, body=message.encode())

    def refusal(self, to: str, reason: Reason) -> Send:
        """Turn a client away."""
        message = Refusal(run_id=self._plan.run_id, round_index=self._log.next_round, reason=reason)
        return Send(to=to, body=message.encode())

    def announcement(self, left_s: float, to: str | None = None) -> Send:
        """Open a round; without time left, call the roll."""
        message = Announce(
            run_id=self._plan.run_id,
            round_index=self._log.next_round,
            digest=self._replica.digest_prefix(),
            left_ms=max(0, round(1000 * left_s)),
        )
        return Send(to=to, body=message.encode())

    def model(self, to: str) -> Stream:
        """Send the weights that a FedAvg round begins with."""
        weights = DenseWeights(
            run_id=self._plan.run_id,
            round_index=self._log.next_round,
            slot=0,
            samples=0,
            values=self._replica.values(),
        )
        return self._stream(to, weights.encode(), Purpose.MODEL)

    def catch_up(
        self, to: str | None, reason: Reason, *, from_round: int | None = None
    ) -> list[Action]:
        """Send the log's tail or a snapshot of now, as :mod:`catch_up` chooses."""
        if self._snapshot is None:
            now = self._replica.snapshot(run_id=self._plan.run_id, round_index=self._log.next_round)
            self._snapshot = now.encode()
        blob = catch_up.choose(self._log, from_round=from_round, snapshot=self._snapshot)
        message = Resync(
            run_id=self._plan.run_id,
            round_index=self._log.next_round,
            digest=self._replica.digest_prefix(),
            reason=reason,
            total=len(blob),
        )
        return [Send(to=to, body=message.encode()), self._stream(to, blob, Purpose.CATCH_UP)]

    def _stream(self, to: str | None, body: bytes, purpose: Purpose) -> Stream:
        return Stream(
            to=to,
            body=body,
            purpose=purpose,
            run_id=self._plan.run_id,
            round_index=self._log.next_round,
            slot=SERVER_SLOT,
            chunk_bytes=self._plan.chunk_bytes,
        )
