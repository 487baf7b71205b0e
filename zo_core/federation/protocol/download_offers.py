"""Long bodies that clients fetch from the server: catch-ups, and the model of a FedAvg round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from zo_core.federation.log import RoundLog
from zo_core.federation.protocol import catch_up
from zo_core.federation.protocol.actions import Action, Offer, hand_out
from zo_core.federation.protocol.inbox import Refused
from zo_core.federation.protocol.messages import Hello, Reason
from zo_core.federation.protocol.outbox import Outbox
from zo_core.federation.protocol.transfer import Body, Purpose, Request, key_of


@dataclass(frozen=True, slots=True)
class _Fetch:
    """A catch-up that a client fetches."""

    body: Body
    from_round: int | None  # the round that the log's tail begins with; None for a snapshot

    def serves(self, from_round: int | None, first_round: int) -> bool:
        """Whether it brings a client on from a round, and the log from there to its end."""
        if self.from_round is not None:
            return self.from_round == from_round
        return self.body.round_index >= max(first_round, from_round or 0)


class DownloadOffers:
    """Offers bodies, and keeps those in several pieces until they have been fetched.

    Args:
        say: composes them.
        log: the run's.
        base: first 8 bytes of the digest at the log's snapshot.
        every_s: seconds in which a client gets one body at its own request.
        refused: counts requests that come sooner, and forks.
    """

    def __init__(
        self, say: Outbox, log: RoundLog, base: bytes, *, every_s: float, refused: Counter[Reason]
    ) -> None:
        self.base = base
        self._say, self._log, self._every_s, self._refused = say, log, every_s, refused
        self._sent_s: dict[str, float] = {}
        self._fetches: dict[str, _Fetch] = {}

    def may_send(self, to: str, now_s: float) -> bool:
        """Whether a client may have a long body at its own request; count those that may not."""
        last = self._sent_s.get(to)
        if last is not None and now_s - last < self._every_s:
            self._refused[Reason.TOO_OFTEN] += 1
            return False
        self._sent_s[to] = now_s
        return True

    def catch_up(self, to: str, hello: Hello, now_s: float) -> list[Action]:
        """Offer what a client lacks by its Hello, if anything."""
        from_round = hello.round_index
        agrees = catch_up.agrees(
            self._log, base=self.base, from_round=from_round, digest=hello.digest
        )
        if agrees and from_round == self._log.next_round:
            self._fetches.pop(to, None)
            return []
        if agrees is False:
            return self.refork(to, now_s)
        return self._resync(to, Reason.BEHIND, from_round if agrees else None, now_s)

    def refork(self, to: str, now_s: float) -> list[Action]:
        """Refuse what a client computed on other weights, and offer the run's."""
        self._refused[Reason.WRONG_DIGEST] += 1
        return self._resync(to, Reason.WRONG_DIGEST, None, now_s)

    def _resync(
        self, to: str, reason: Reason, from_round: int | None, now_s: float
    ) -> list[Action]:
        """Bring a client up to date, unless it was just served; an unfinished body goes on."""
        if not self.may_send(to, now_s):
            return []
        fetch = self._fetches.get(to)
        again = fetch is not None and fetch.serves(from_round, self._log.first_round)
        if fetch is not None and again and reason == Reason.BEHIND:
            return [Offer(to=to, body=fetch.body)]
        resync, offer = self._say.catch_up(to, reason, from_round=from_round)
        self._keep([to], offer.body, from_round)
        return [resync, offer]

    def hand_over(self, names: Iterable[str]) -> list[Action]:
        """Offer the snapshot that phase two begins with to all."""
        resync, offer = self._say.catch_up(None, Reason.HAND_OVER)
        self._keep(names, offer.body, None)
        return [resync, offer]

    def models(self, names: Iterable[str]) -> list[Action]:
        """Offer the weights of the open FedAvg round."""
        return [Offer(to=name, body=self._say.model()) for name in names]

    def pieces(self, sender: str, request: Request) -> list[Action]:
        """Answer a client's request for pieces.

        Raises:
            Refused: no body of that name is offered to the client.
        """
        body = self._say.offered_model
        if request.purpose != Purpose.MODEL:
            body = self._fetches[sender].body if sender in self._fetches else None
        if body is None or body.key != key_of(request):
            raise Refused(Reason.NOT_OFFERED)
        return hand_out(body, request, to=sender)

    def done(self, name: str) -> None:
        """Note that a client has the run's weights."""
        self._fetches.pop(name, None)

    def _keep(self, names: Iterable[str], body: Body, from_round: int | None) -> None:
        if body.num_pieces > 1:
            tail_of = None if body is self._say.snapshot() else from_round
            self._fetches |= dict.fromkeys(names, _Fetch(body, tail_of))
