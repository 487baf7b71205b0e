"""The server as a state machine: messages and time in, messages out.

It reads no clock and opens no socket.  A result is in the log before it is handed out to be sent.
States: *waiting* for clients, a round *open*, *over*.  A round's end opens the next one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Set
from pathlib import Path

from zo_core.federation.log import RoundLog
from zo_core.federation.protocol.actions import Action, Send, Stop, Stopwatch, ask
from zo_core.federation.protocol.download_offers import DownloadOffers
from zo_core.federation.protocol.inbox import Refused, decode
from zo_core.federation.protocol.messages import Hello, Reason
from zo_core.federation.protocol.open_round import OpenRound, RoundSummary, open_flight
from zo_core.federation.protocol.outbox import Outbox
from zo_core.federation.protocol.plan import Plan, Rules
from zo_core.federation.protocol.roster import IDENTITY, Names, free_slot
from zo_core.federation.protocol.transfer import Chunk, Request
from zo_core.payloads.core import DenseWeights, Payload, ScalarUpdate
from zo_core.replica import Replica
from zo_core.weight_grid import GridError

_HEAD_BYTES = 128  # more than any message's head
_Answers = (ScalarUpdate, Chunk, Request)  # what only a client of the run sends


class Server:
    """One run's server.

    Args:
        plan: the run.
        rules: deadline, quorum, clip.
        log: the run's, begun or opened by :mod:`zo_core.federation.protocol.serving`.
        replica: the model before the log's next round.
        base: first 8 bytes of the digest at the log's snapshot.
        spool: folder for models on their way; it exists.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        rules: Rules,
        log: RoundLog,
        replica: Replica,
        base: bytes,
        spool: Path,
        on_round: Callable[[RoundSummary], None] = lambda note: None,
    ) -> None:
        self.plan, self.rules, self.log, self.replica = plan, rules, log, replica
        self.online: set[str] = set()
        self.refused: Counter[Reason] = Counter()
        self.over: Stop | None = None
        self._spool, self._on_round = spool, on_round
        self._flight: OpenRound | None = None
        self._started = False  # enough clients have been online since the start
        self._watch = Stopwatch()
        self._names = Names()
        self._say = Outbox(plan, log, replica)
        self._most_bytes = max(plan.chunk_bytes, 4 * plan.scalars) + _HEAD_BYTES
        self._offers = DownloadOffers(
            self._say, log, base, every_s=rules.resync_every_s, refused=self.refused
        )

    @property
    def next_round(self) -> int:
        """The round in flight or to be opened."""
        return self.log.next_round

    @property
    def arrived(self) -> Set[int]:
        """Slots whose update of the open round is complete, a view."""
        return self._flight.inbox.arrived if self._flight else frozenset()

    def start(self, now_s: float) -> list[Action]:
        """Call the roll; rounds begin when enough clients have answered."""
        self._watch.advance(now_s)
        if self.next_round == self.plan.rounds:
            return self._finish()
        return [self._say.announcement(left_s=0.0)]

    def receive(self, sender: str, body: bytes, now_s: float) -> list[Action]:
        """Take a message of the client that the transport says it is from."""
        self._watch.advance(now_s)
        slot = self.log.roster.get(sender)
        if slot is not None and self._flight is not None and self._flight.takes(slot, body):
            return self._counts(sender)
        try:
            if not IDENTITY.fullmatch(sender):
                raise Refused(Reason.UNKNOWN_CLIENT)
            message = decode(body, most_bytes=self._most_bytes)
            if isinstance(message, Hello):
                return self._hello(sender, message)
            return self._update(sender, message)
        except Refused as refused:
            self.refused[refused.reason] += 1
            return []

    def lost(self, sender: str, now_s: float) -> list[Action]:
        """Note that a client's connection broke."""
        self._watch.advance(now_s)
        self.online.discard(sender)
        return self._commit_if_due()

    def tick(self, now_s: float) -> list[Action]:
        """Let time pass; to be called at least every ``MAX_STEP_S`` seconds."""
        self._watch.advance(now_s)
        return [*self._ask_again(), *self._commit_if_due()]

    def cut_off(self, now_s: float) -> None:
        """Note that the transport is down: deadlines stand still."""
        self._watch.advance(now_s)
        self._watch.paused = True

    def reconnected(self, now_s: float) -> list[Action]:
        """Note that the transport is back: call the roll, so that everybody says what it lacks."""
        self._watch.paused = False
        return self.start(now_s)

    def farewell(self) -> Send:
        """Tell clients that come later that the run is over."""
        return self._say.refusal(None, Reason.RUN_OVER)

    def left_s(self) -> float | None:
        """Seconds until the open round's deadline; None where no round is open."""
        return None if self._flight is None else self._flight.deadline_s - self._watch.elapsed_s

    # --- messages --------------------------------------------------------------------------------

    def _hello(self, sender: str, hello: Hello) -> list[Action]:
        try:
            self._admit(sender, hello)
        except Refused as refused:
            self.refused[refused.reason] += 1
            return [self._say.refusal(sender, refused.reason, hello.instance)]
        self.online.add(sender)
        actions: list[Action] = [] if hello.run_id else [self._say.welcome(sender)]
        if not self.plan.is_dense(self.next_round):
            actions += self._offers.catch_up(sender, hello, self._watch.elapsed_s)
        if self._flight is not None or self.over is not None:
            return [*actions, *self._invite(sender, fresh=hello.fresh)]
        return [*actions, *self._open_if_due()]

    def _admit(self, sender: str, hello: Hello) -> None:
        """Give a client a slot, unless it has one.

        Raises:
            Refused: it must not take part.
        """
        if hello.run_id not in (0, self.plan.run_id):
            raise Refused(Reason.WRONG_RUN)
        if sender not in self.log.roster:
            if self.over is not None:
                raise Refused(Reason.RUN_OVER)
            slot = free_slot(self.plan, self.log.roster, hello)
            if slot is None:
                raise Refused(Reason.ROSTER_FULL)
            self.log.enrol(sender, slot)
        if self._names.displaces(sender, hello.instance):
            self.refused[Reason.NAME_TAKEN] += 1

    def _invite(self, sender: str, *, fresh: bool = False) -> list[Action]:
        """Tell one client of the end, or of the open round where that waits for it."""
        if self._flight is not None and self.log.roster[sender] in self._flight.inbox.arrived:
            return []
        actions: list[Action] = [self._say.announcement(self.left_s() or 0.0, to=sender)]
        return actions + self._models([sender], fresh=fresh)

    def _models(self, names: Iterable[str], *, fresh: bool = False) -> list[Action]:
        """Send a FedAvg round's weights to those of its cohort that have not had them."""
        if self._flight is None or not self.plan.is_dense(self.next_round):
            return []
        flight, served = self._flight, self._flight.served
        waited = (name for name in names if flight.lacks(self.log.roster[name]))
        lacking = [name for name in waited if fresh or name not in served]
        now_s = self._watch.elapsed_s
        lacking = [n for n in lacking if n not in served or self._offers.may_send(n, now_s)]
        served.update(lacking)
        return self._offers.models(lacking)

    def _update(self, sender: str, message: Payload) -> list[Action]:
        """Take a client's scalars or a piece of its model."""
        if sender not in self.log.roster:
            raise Refused(Reason.UNKNOWN_CLIENT)
        if not isinstance(message, _Answers):
            raise Refused(Reason.MALFORMED)
        if message.run_id != self.plan.run_id:
            raise Refused(Reason.WRONG_RUN)
        if isinstance(message, Request):
            return self._offers.pieces(sender, message)
        slot = self.log.roster[sender]
        if message.slot != slot:
            raise Refused(Reason.WRONG_SLOT)
        self.online.add(sender)
        if message.round_index != self.next_round or self._flight is None:
            stale = message.round_index < self.next_round
            raise Refused(Reason.STALE if stale else Reason.NOT_OPEN)
        if slot not in self._flight.cohort:
            raise Refused(Reason.NOT_IN_COHORT)
        if isinstance(message, ScalarUpdate) and message.digest != self.replica.digest_prefix():
            resync = self._offers.refork(sender, self._watch.elapsed_s)
            return [*resync, *self._invite(sender)] if resync else []
        request = self._flight.inbox.add(slot, message, self._watch.elapsed_s)
        return self._counts(sender) if request is None else ask(request, to=sender)

    def _counts(self, sender: str) -> list[Action]:
        """Go on after a client's complete update."""
        self.online.add(sender)
        self._offers.done(sender)
        return self._commit_if_due()

    def _ask_again(self) -> list[Action]:
        """Ask for pieces of models that have not come for long."""
        stalled = self._flight.inbox.stalled(self._watch.elapsed_s) if self._flight else ()
        names = {slot: name for name, slot in self.log.roster.items()} if stalled else {}
        return [action for slot, request in stalled for action in ask(request, to=names[slot])]

    # --- rounds ----------------------------------------------------------------------------------

    def _open_if_due(self) -> list[Action]:
        """Open the next round where none is, and somebody is there to take part."""
        self._started = self._started or len(self.online) >= self.rules.wait_for
        busy = self._flight is not None or self.over is not None
        if busy or not self._started or not self.online:
            return []
        self._open_round()
        actions: list[Action] = [self._say.announcement(self.left_s() or 0.0)]
        return actions + self._models(sorted(self.online))

    def _open_round(self) -> None:
        self._flight = open_flight(
            self.plan,
            self.rules,
            self.replica,
            round_index=self.next_round,
            now_s=self._watch.elapsed_s,
            spool=self._spool,
        )

    def _commit_if_due(self) -> list[Action]:
        """End the round when its time is up, or when nobody is left who could still answer."""
        flight, now_s = self._flight, self._watch.elapsed_s
        if flight is None or not flight.is_due(now_s, self.online, self.log.roster):
            return []
        return self._commit(flight)

    def _commit(self, done: OpenRound) -> list[Action]:
        """Step the model, keep the result, hand it out, open the next round."""
        round_index = self.next_round
        method = self.plan.method_at(round_index)
        updates = done.inbox.updates() if done.has_quorum else iter(())
        try:
            result, _ = method.server_result(self.replica, updates, done.context)
        except GridError as error:
            self.over = Stop(reason=f"diverged in round {round_index}: {error}")
            return [self.over]
        note = RoundSummary(
            round_index=round_index,
            method=method.name,
            cohort=len(done.cohort),
            num_accepted=len(done.inbox.arrived) if done.has_quorum else 0,
            elapsed_s=self._watch.elapsed_s - done.opened_s,
        )
        actions = self._log_result(result)
        done.inbox.close()
        self._flight = None
        self._on_round(note)
        if self.next_round == self.plan.rounds:
            return [*actions, *self._finish()]
        if isinstance(result, DenseWeights) or not self.online:
            return [*actions, *self._open_if_due()]
        self._open_round()  # whoever applies a result has opened the next round by it
        return actions

    def _log_result(self, result: Payload) -> list[Action]:
        """Put a round's outcome on disk, and only then into a message."""
        self._say.changed()
        after = result.round_index + 1
        if not isinstance(result, DenseWeights):
            body = self.log.append(result)
            if self.log.outweighs_snapshots and not self.rules.keep_rounds:
                self.log.compact_(self.replica.snapshot(run_id=self.plan.run_id, round_index=after))
                self._offers.base = self.replica.digest_prefix()
            return [Send(to=None, body=body)]
        if after == self.plan.rounds or self.plan.is_dense(after):
            self.log.rebase_(self.replica.snapshot(run_id=self.plan.run_id, round_index=after))
            return []
        self.log.rebase_(self.replica.hand_over_(run_id=self.plan.run_id, round_index=after))
        self._offers.base = self.replica.digest_prefix()
        return self._offers.hand_over(self.online)

    def _finish(self) -> list[Action]:
        self.over = Stop(reason=None)
        return [self._say.announcement(left_s=0.0), self.over]
