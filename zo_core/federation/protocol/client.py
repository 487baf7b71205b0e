"""A client as a state machine: messages and time in, messages and work out.

States: *unknown* to the server until a Welcome, *behind* until its weights are those before the
server's round, then *ready*.  Hello says where it stands, whenever that may matter: on connecting,
at a roll call, after a gap, after a fork, and when the server has been silent for long.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from zo_core.federation.protocol import catch_up
from zo_core.federation.protocol.actions import Action, Compute, Send, Stop, Stopwatch
from zo_core.federation.protocol.answer import Answer
from zo_core.federation.protocol.download import Download
from zo_core.federation.protocol.messages import (
    ANY_SLOT,
    FRESH,
    HIGH,
    NO_DIGEST,
    REFUSALS,
    Announce,
    Hello,
    Reason,
    Refusal,
    Resync,
    Welcome,
)
from zo_core.federation.protocol.patience import Patience
from zo_core.federation.protocol.plan import Plan, PlanError
from zo_core.federation.protocol.trainer import Trainer
from zo_core.federation.protocol.transfer import SERVER_SLOT, Chunk, Purpose, Request, key_of
from zo_core.payloads.core import DenseWeights, Payload, PayloadError, RoundResult
from zo_core.replica import ForkError, Replica

MAX_AHEAD = 256  # results kept while the client catches up
_HEADS_BYTES = 256  # of a snapshot and what it is packed in


class Client:
    """One run's client.

    Args:
        trainer: builds the model when the plan is known.
        high: it can do backprop.
        slot: the slot to ask for.
        spool: folder for bodies on their way; it exists.
        instance: drawn by each program that connects by a name of its own choice, else 0.
    """

    def __init__(
        self, trainer: Trainer, *, high: bool, spool: Path, slot: int = ANY_SLOT, instance: int = 0
    ) -> None:
        self.trainer, self.high, self.slot, self.instance = trainer, high, slot, instance
        self.plan: Plan | None = None
        self.replica: Replica | None = None
        self.over: Stop | None = None
        self.events: Counter[str] = Counter()  # what was ignored or asked for, by name
        self.holds_weights = False  # of the run, before next_round
        self._watch = Stopwatch()
        self._patience = Patience()
        self._download = Download(spool)
        self._ahead: dict[int, RoundResult] = {}
        self.next_round, self._announced_round, self._answer = 0, 0, Answer()

    def connected(self, now_s: float) -> list[Action]:
        """Say hello: the transport has just connected."""
        self._watch.advance(now_s)
        self._patience.reset()
        self._answer.lose()
        return [*self._hello(fresh=True), *self._download.ask_again(self._watch.elapsed_s)]

    def tick(self, now_s: float) -> list[Action]:
        """Let time pass; to be called at least every ``MAX_STEP_S`` seconds."""
        self._watch.advance(now_s)
        now = self._watch.elapsed_s
        if self._download.stalled(now):
            self.events["stall"] += 1
            fresh = not self._download.catching_up
            return [*self._hello(fresh=fresh), *self._download.ask_again(now)]
        answered = self.holds_weights or self._answer.round_index >= self._announced_round
        lost = self._patience.silences > 0 and not answered  # the model of a FedAvg round, perhaps
        if self.over is not None or not self._patience.runs_out(now):
            return []
        self.events["silence"] += 1
        return self._hello(fresh=lost)

    def busy(self, now_s: float) -> None:
        """Note that what was said is still on its way: meanwhile no silence counts."""
        self._watch.advance(now_s)
        self._patience.busy(self._watch.elapsed_s)

    def receive(self, body: bytes, now_s: float) -> list[Action]:
        """Take a message of the server."""
        self._watch.advance(now_s)
        self._patience.heard(self._watch.elapsed_s)
        if self.over is not None:
            return []
        try:
            message = Payload.decode(body)
            if isinstance(message, Refusal):
                return self._refused(message)
            if self.plan is None:
                return self._unknown(message)
            if message.run_id == self.plan.run_id:
                return self._in_run(message, self.plan)
            self.events["of another run"] += 1
        except PayloadError:
            self.events["malformed"] += 1
        return []

    def computed(self, update: Payload | None) -> list[Action]:
        """Send what was computed; None where it could not be, and the round goes on without."""
        if update is None or self.plan is None:
            self.events["no update"] += 1
            return []
        return self._answer.give(update, self.plan.chunk_bytes)

    # --- messages --------------------------------------------------------------------------------

    def _welcomed(self, welcome: Welcome) -> list[Action]:
        try:
            plan = Plan.from_json(welcome.plan, run_id=welcome.run_id, run_seed=welcome.run_seed)
            self.replica = self.trainer.join(plan, welcome.slot)
        except (PlanError, ValueError, OSError, ImportError) as error:
            return self._stop(str(error))
        self.plan, self.slot = plan, welcome.slot
        return []

    def _refused(self, refusal: Refusal) -> list[Action]:
        ours = self.plan is None or refusal.run_id == self.plan.run_id
        earlier = refusal.reason == Reason.RUN_OVER and not ours  # run, by the same broker
        if earlier or refusal.instance not in (0, self.instance):
            return []
        why = REFUSALS.get(refusal.reason, "see the server's counts")
        return self._stop(f"the server refuses this client: {refusal.reason.name} ({why})")

    def _unknown(self, message: Payload) -> list[Action]:
        """Join by a Welcome; answer a server that has come since the last Hello."""
        if isinstance(message, Welcome):
            return self._welcomed(message)
        if isinstance(message, Announce):
            self._patience.reset()
            return self._hello()
        return []

    def _in_run(self, message: Payload, plan: Plan) -> list[Action]:
        match message:
            case RoundResult():
                return self._result(message, plan)
            case Announce():
                return self._announced(message, plan)
            case Chunk() if message.slot == SERVER_SLOT:
                return self._chunk(message, plan)
            case Request():
                return self._answer.pieces(message)
            case Resync():
                self.events[f"resync: {message.reason.name}"] += 1
                self.holds_weights &= message.reason != Reason.WRONG_DIGEST
            case _ if not isinstance(message, Welcome):  # which may come again
                self.events["malformed"] += 1
        return []

    def _announced(self, announce: Announce, plan: Plan) -> list[Action]:
        round_index = announce.round_index
        if round_index < plan.rounds and announce.left_ms == 0:
            self._answer.lose()
            self._patience.reset()  # a roll call is answered at once
            return self._hello()
        self._announced_round = round_index
        self._download.drop_model_before(round_index)
        if plan.is_dense(round_index):  # the model that follows tells what to do
            if round_index >= plan.rounds:
                return self._stop(None)
            return self._answer.if_unheard(round_index)
        if not self.holds_weights or self.next_round != round_index:
            return self._ask_where()
        self._model().invalidate_digest()  # take the digest of what is in memory now
        if self._model().digest_prefix() != announce.digest:
            return self._forked()
        return self._take_part(plan)

    def _result(self, result: RoundResult, plan: Plan) -> list[Action]:
        """Apply a result whose turn it is; keep one that is early; the next round is open then."""
        if not self.holds_weights or result.round_index != self.next_round:
            if result.round_index >= self.next_round and len(self._ahead) < MAX_AHEAD:
                self._ahead[result.round_index] = result
                return self._ask_where()
            return []
        try:
            self.apply_result_(result, plan)
        except ForkError:
            return self._forked()
        self.next_round += 1
        return self._next(plan)

    def apply_result_(self, result: RoundResult, plan: Plan) -> None:
        """Take the step of a round's result."""
        catch_up.apply_result_(self._model(), result, plan)

    def _next(self, plan: Plan) -> list[Action]:
        """Go on from a round: with a result that came early, else with the round's own work."""
        early = self._ahead.pop(self.next_round, None)
        if early is not None:
            return self._result(early, plan)
        if self.next_round >= plan.rounds:
            return self._stop(None)
        return self._take_part(plan)

    def _take_part(self, plan: Plan) -> list[Action]:
        """Compute this round's update where the client is in its cohort, or send it again."""
        context = plan.context_of(self.next_round)
        if self.slot not in context.cohort:
            return []
        return self._answer.again(self.next_round) or [Compute(context=context)]

    def _chunk(self, chunk: Chunk, plan: Plan) -> list[Action]:
        """Put together a model or a catch-up."""
        model, self._patience.silences = self._model(), 0
        most = 4 * (model.num_values + len(model.params.arrays)) + _HEADS_BYTES
        most += plan.state_bytes(model)
        if chunk.purpose == Purpose.UPDATE or chunk.total > most:
            raise PayloadError("no client needs this body")
        model_comes = chunk.purpose == Purpose.MODEL
        if model_comes and chunk.index == 0 and key_of(chunk) == self._download.last:
            return self._had(chunk, plan)
        if not model_comes and self.holds_weights and chunk.round_index <= self.next_round:
            return []  # results came meanwhile
        taken = self._download.take(chunk, self._watch.elapsed_s)
        if isinstance(taken, list):
            return taken
        if model_comes:
            return self._warm_up(catch_up.checked_model(taken, plan), plan)
        actions = self._apply_catch_up(taken, plan)
        if actions or chunk.total <= chunk.chunk_bytes:
            return actions
        self._patience.reset()  # what was announced meanwhile went by
        return self._hello()

    def _had(self, chunk: Chunk, plan: Plan) -> list[Action]:
        """Take a model that is offered again: the server lacks the answer."""
        return self._take_part(plan) if chunk.round_index == self.next_round else []

    def _warm_up(self, weights: DenseWeights, plan: Plan) -> list[Action]:
        """Take over a FedAvg round's weights and train."""
        if not self.high:
            return []
        self.next_round = weights.round_index
        self._model().load_(weights.values)
        return self._take_part(plan)

    def _apply_catch_up(self, blob: bytes, plan: Plan) -> list[Action]:
        first = next(iter(catch_up.unpack(blob)), None)
        if isinstance(first, RoundResult) and not self.holds_weights:
            raise PayloadError("results arrived at a client without weights")
        try:
            self.next_round = catch_up.apply_(self._model(), blob, plan, next_round=self.next_round)
        except ForkError:
            return self._forked()
        self.holds_weights = True
        self._answer.forget()
        self.events["caught up"] += 1
        self._ahead = {r: result for r, result in self._ahead.items() if r >= self.next_round}
        if self.next_round in self._ahead or self.next_round >= plan.rounds:
            return self._next(plan)
        return []  # the announcement that follows opens the round

    # --- what it says ----------------------------------------------------------------------------

    def _hello(self, *, fresh: bool = False) -> list[Action]:
        if not self._patience.may_ask(self._watch.elapsed_s):
            return []
        hello = Hello(
            run_id=0 if self.plan is None else self.plan.run_id,
            round_index=self.next_round,
            digest=self._model().digest_prefix() if self.holds_weights else NO_DIGEST,
            slot=self.slot,
            instance=self.instance,
            flags=HIGH * self.high | FRESH * fresh,
        )
        return [Send(to=None, body=hello.encode())]

    def _ask_where(self) -> list[Action]:
        """Say Hello, unless what the client lacks is on its way."""
        return [] if self._download.catching_up else self._hello()

    def _forked(self) -> list[Action]:
        self.events["fork"] += 1
        self._patience.reset()
        actions, self.holds_weights = self._hello(), False  # it tells the digest that is wrong
        return actions

    def _stop(self, reason: str | None) -> list[Action]:
        self.over = Stop(reason=reason)
        return [self.over]

    def _model(self) -> Replica:
        assert self.replica is not None  # joined
        return self.replica
