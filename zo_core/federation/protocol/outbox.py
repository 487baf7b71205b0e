"""What the server says, composed from the run as it stands."""

from __future__ import annotations

from zo_core.federation.log import RoundLog
from zo_core.federation.protocol import catch_up
from zo_core.federation.protocol.actions import Offer, Send
from zo_core.federation.protocol.messages import Announce, Reason, Refusal, Resync, Welcome
from zo_core.federation.protocol.plan import Plan
from zo_core.federation.protocol.transfer import SERVER_SLOT, Body, Purpose
from zo_core.payloads.core import DenseWeights
from zo_core.replica import Replica


class Outbox:
    """Composes messages; a model or snapshot of now is encoded once for all who need it.

    Args:
        plan: the run.
        log: its log.
        replica: the model before the log's next round.
    """

    def __init__(self, plan: Plan, log: RoundLog, replica: Replica) -> None:
        self._plan, self._log, self._replica = plan, log, replica
        self._snapshot: Body | None = None
        self.offered_model: Body | None = None  # of the open round

    def changed(self) -> None:
        """Forget what was encoded of the model."""
        self._snapshot = self.offered_model = None

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

    def refusal(self, to: str | None, reason: Reason, instance: int = 0) -> Send:
        """Refuse a client."""
        message = Refusal(
            run_id=self._plan.run_id,
            round_index=self._log.next_round,
            reason=reason,
            instance=instance,
        )
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

    def model(self) -> Body:
        """Return the weights that a FedAvg round begins with."""
        if self.offered_model is None:
            weights = DenseWeights(
                run_id=self._plan.run_id,
                round_index=self._log.next_round,
                slot=0,
                samples=0,
                values=self._replica.values(),
            )
            self.offered_model = self._body(weights.encode(), Purpose.MODEL)
        return self.offered_model

    def catch_up(
        self, to: str | None, reason: Reason, *, from_round: int | None = None
    ) -> tuple[Send, Offer]:
        """Offer the log's tail or a snapshot of now, as :mod:`catch_up` chooses."""
        body = self.snapshot()
        if catch_up.prefers_tail(self._log, from_round=from_round, snapshot_bytes=len(body.data)):
            assert from_round is not None  # without it there is no tail
            body = self._body(catch_up.pack(self._log.tail(from_round)), Purpose.CATCH_UP)
        message = Resync(
            run_id=self._plan.run_id,
            round_index=self._log.next_round,
            digest=self._replica.digest_prefix(),
            reason=reason,
            total=len(body.data),
        )
        return Send(to=to, body=message.encode()), Offer(to=to, body=body)

    def snapshot(self) -> Body:
        """Return a catch-up that is a snapshot of now."""
        if self._snapshot is None:
            now = self._replica.snapshot(run_id=self._plan.run_id, round_index=self._log.next_round)
            self._snapshot = self._body(catch_up.pack([now.encode()]), Purpose.CATCH_UP)
        return self._snapshot

    def _body(self, data: bytes, purpose: Purpose) -> Body:
        return Body(
            data=data,
            purpose=purpose,
            run_id=self._plan.run_id,
            round_index=self._log.next_round,
            slot=SERVER_SLOT,
            chunk_bytes=self._plan.chunk_bytes,
        )
