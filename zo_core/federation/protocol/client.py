"""A client as a state machine: messages and time in, messages and work out.

States: *unknown* to the server until a Welcome, *behind* until its weights are those before the
server's round, then *ready*.  Hello says where it stands, whenever that may matter: on connecting,
at a roll call, after a gap, after a fork, and when the server has been silent for long.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Protocol

from zo_core.federation.protocol import catch_up
from zo_core.federation.protocol.actions import Action, Compute, Send, Stop, Stopwatch, reply
from zo_core.federation.protocol.messages import (
    ANY_SLOT,
    FRESH,
    HIGH,
    NO_DIGEST,
    Announce,
    Hello,
    Refusal,
    Resync,
    Welcome,
)
from zo_core.federation.protocol.plan import Plan, PlanError
from zo_core.federation.protocol.transfer import SERVER_SLOT, Assembly, Chunk, Purpose
from zo_core.method import RoundContext
from zo_core.payloads.core import DenseWeights, Payload, PayloadError, RoundResult
from zo_core.replica import ForkError, Replica

MAX_AHEAD = 256  # results kept while the client catches up
ASK_EVERY_S = 1.0  # Hellos at most
_HEADS_BYTES = 256  # of a snapshot and what it is packed in
SILENCE_S = (10.0, 60.0)  # after which the client asks; doubled up to the second, unanswered


class Trainer(Protocol):
    """The client's half that knows model and data."""

    def join(self, plan: Plan, slot: int) -> Replica:
        """Build the model of a run and get the slot's data."""

    def update(self, context: RoundContext) -> Payload:
        """Compute what is sent of a round; the replica ends as it was."""


class Client:
    """One run's client.

    Args:
        trainer: builds the model when the plan is known.
        high: it can do backprop.
        slot: the slot to ask for.
        spool: folder for bodies on their way; it exists.
    """

    def __init__(self, trainer: Trainer, *, high: bool, slot: int = ANY_SLOT, spool: Path) -> None:
        self.trainer, self.high, self.slot = trainer, high, slot
        self.plan: Plan | None = None
        self.replica: Replica | None = None
        self.next_round = 0
        self.over: Stop | None = None
        self.events: Counter[str] = Counter()  # what was ignored or asked for, by name
        self._spool = spool
        self.holds_weights = False  # of the run, before next_round
        self._watch = Stopwatch()
        self._asked_s: float | None = None
        self._heard_s = 0.0
        self._patience_s = SILENCE_S[0]
        self._assembly: Assembly | None = None
        self._ahead: dict[int, RoundResult] = {}
        self._announced_round = self._silences = 0  # silences since the last chunk
        self._answer: tuple[int, list[Action]] | None = None  # round and what was sent

    def connected(self, now_s: float) -> list[Action]:
        """Say hello: the transport has just connected."""
        self._watch.advance(now_s)
        self._asked_s = None
        return self._hello(fresh=True)

    def tick(self, now_s: float) -> list[Action]:
        """Let time pass; to be called at least every ``MAX_STEP_S`` seconds."""
        self._watch.advance(now_s)
        silent_s = self._watch.elapsed_s - self._heard_s
        if self.over is not None or silent_s < self._patience_s:
            return []
        self._heard_s = self._watch.elapsed_s
        lost = self._silences > 0 and self._may_lack_model()
        self._silences += 1
        self._patience_s = min(2 * self._patience_s, SILENCE_S[1])
        self.events["silence"] += 1
        return self._hello(fresh=lost)

    def busy(self, now_s: float) -> None:
        """Note that what was said is still on its way: meanwhile no silence counts."""
        self._watch.advance(now_s)
        self._heard_s = self._watch.elapsed_s

    def receive(self, body: bytes, now_s: float) -> list[Action]:
        """Take a message of the server."""
        self._watch.advance(now_s)
        self._heard_s, self._patience_s = self._watch.elapsed_s, SILENCE_S[0]
        if self.over is not None:
            return []
        try:
            message = Payload.decode(body)
            if isinstance(message, Refusal):
                return self._stop(f"the server refuses this client: {message.reason.name}")
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
        self._answer = update.round_index, [reply(update, self.plan.chunk_bytes)]
        return self._answer[1]

    # --- messages --------------------------------------------------------------------------------

    def _welcomed(self, welcome: Welcome) -> list[Action]:
        try:
            plan = Plan.from_json(welcome.plan, run_id=welcome.run_id, run_seed=welcome.run_seed)
            self.replica = self.trainer.join(plan, welcome.slot)
        except (PlanError, ValueError, OSError, ImportError) as error:
            return self._stop(str(error))
        self.plan, self.slot = plan, welcome.slot
        return []

    def _unknown(self, message: Payload) -> list[Action]:
        """Join by a Welcome; answer a server that has come since the last Hello."""
        if isinstance(message, Welcome):
            return self._welcomed(message)
        if isinstance(message, Announce):
            self._asked_s = None
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
            case Resync():
                self.events[f"resync: {message.reason.name}"] += 1
                return []
            case Welcome():  # again
                return []
        self.events["malformed"] += 1
        return []

    def _announced(self, announce: Announce, plan: Plan) -> list[Action]:
        round_index = announce.round_index
        if round_index < plan.rounds and announce.left_ms == 0:
            self._asked_s = None  # a roll call is answered at once
            return self._hello()
        self._announced_round = round_index
        if plan.is_dense(round_index):  # the model that follows tells what to do
            return self._stop(None) if round_index >= plan.rounds else []
        if not self.holds_weights or self.next_round != round_index:
            return self._hello()
        self._model().invalidate_digest()  # take the digest of what is in memory now
        if self._model().digest_prefix() != announce.digest:
            return self._forked()
        return self._take_part(plan)

    def _result(self, result: RoundResult, plan: Plan) -> list[Action]:
        """Apply a result whose turn it is; keep one that is early; the next round is open then."""
        if not self.holds_weights or result.round_index != self.next_round:
            if result.round_index >= self.next_round and len(self._ahead) < MAX_AHEAD:
                self._ahead[result.round_index] = result
                return self._hello()
            return []
        try:
            catch_up.apply_result_(self._model(), result, plan)
        except ForkError:
            return self._forked()
        self.next_round += 1
        return self._next(plan)

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
        if self._answer is not None and self._answer[0] == self.next_round:
            return self._answer[1]
        return [Compute(context=context)]

    def _chunk(self, chunk: Chunk, plan: Plan) -> list[Action]:
        """Put together a model or a catch-up."""
        model, self._silences = self._model(), 0
        most = 4 * (model.num_values + len(model.params.arrays)) + _HEADS_BYTES
        most += plan.state_bytes(model)
        if chunk.purpose == Purpose.UPDATE or chunk.total > most:
            raise PayloadError("no client needs this body")
        if self._assembly is None or not self._assembly.is_of(chunk):
            self._drop_assembly()
            self._assembly = Assembly(chunk, self._spool / f"{chunk.purpose.name.lower()}.part")
        self._assembly.add(chunk)
        if not self._assembly.done:
            return []
        try:
            body = self._assembly.body()
        finally:
            self._drop_assembly()
        if chunk.purpose == Purpose.MODEL:
            return self._warm_up(Payload.decode(body), plan)
        return self._apply_catch_up(body, plan)

    def _warm_up(self, weights: Payload, plan: Plan) -> list[Action]:
        """Take over a FedAvg round's weights and train."""
        round_index = weights.round_index
        if not isinstance(weights, DenseWeights) or weights.run_id != plan.run_id:
            raise PayloadError("a model must be dense weights of this run")
        if round_index >= plan.rounds or not plan.is_dense(round_index):
            raise PayloadError(f"round {round_index} is no FedAvg round")
        if not self.high:
            return []
        self.next_round = round_index
        self._model().load_(weights.values)
        return self._take_part(plan)

    def _apply_catch_up(self, blob: bytes, plan: Plan) -> list[Action]:
        first = next(iter(catch_up.unpack(blob)), None)
        if isinstance(first, RoundResult) and not self.holds_weights:
            raise PayloadError("results came to a client that holds no weights")
        try:
            self.next_round = catch_up.apply_(self._model(), blob, plan, next_round=self.next_round)
        except ForkError:
            return self._forked()
        self.holds_weights, self._answer = True, None
        self.events["caught up"] += 1
        self._ahead = {r: result for r, result in self._ahead.items() if r >= self.next_round}
        if self.next_round in self._ahead or self.next_round >= plan.rounds:
            return self._next(plan)
        return []  # the announcement that follows opens the round

    # --- what it says ----------------------------------------------------------------------------

    def _hello(self, *, fresh: bool = False) -> list[Action]:
        now = self._watch.elapsed_s
        if self._asked_s is not None and now - self._asked_s < ASK_EVERY_S:
            return []
        self._asked_s = now
        hello = Hello(
            run_id=0 if self.plan is None else self.plan.run_id,
            round_index=self.next_round,
            digest=self._model().digest_prefix() if self.holds_weights else NO_DIGEST,
            slot=self.slot,
            flags=HIGH * self.high | FRESH * fresh,
        )
        return [Send(to=None, body=hello.encode())]

    def _may_lack_model(self) -> bool:
        """Whether a FedAvg round's model may have been lost on its way here."""
        answered = self._answer is not None and self._answer[0] >= self._announced_round
        return not (self.holds_weights or answered)

    def _forked(self) -> list[Action]:
        self.events["fork"] += 1
        self._asked_s = None
        actions = self._hello()  # with the digest that is not the run's
        self.holds_weights = False
        return actions

    def _stop(self, reason: str | None) -> list[Action]:
        self.over = Stop(reason=reason)
        return [self.over]

    def _model(self) -> Replica:
        assert self.replica is not None  # joined
        return self.replica

    def _drop_assembly(self) -> None:
        if self._assembly is not None:
            self._assembly.close()
            self._assembly = None
