"""What a client has sent of its newest round, kept to be sent again."""

from __future__ import annotations

from zo_core.federation.protocol.actions import Action, Offer, Send, hand_out, reply
from zo_core.federation.protocol.transfer import Request, key_of
from zo_core.payloads.core import Payload


class Answer:
    """A client's update: scalars in one message, or a model that the server fetches."""

    def __init__(self) -> None:
        self.round_index = -1  # of no round yet
        self._sent: Send | Offer | None = None
        self._fetched = False  # the server has the offer: it has asked for pieces

    def give(self, update: Payload, chunk_bytes: int) -> list[Action]:
        """Send a round's update."""
        self.round_index, self._sent = update.round_index, reply(update, chunk_bytes)
        self._fetched = False
        return [self._sent]

    def again(self, round_index: int) -> list[Action]:
        """Send a round's update again, if there is one."""
        return [] if self._sent is None or self.round_index != round_index else [self._sent]

    def if_unheard(self, round_index: int) -> list[Action]:
        """Send a round's update again, unless the server is fetching it."""
        return [] if self._fetched else self.again(round_index)

    def pieces(self, request: Request) -> list[Action]:
        """Send pieces of it; nothing where another body is asked for."""
        sent, self._fetched = self._sent, True
        ours = isinstance(sent, Offer) and sent.body.key == key_of(request)
        return hand_out(sent.body, request) if isinstance(sent, Offer) and ours else []

    def lose(self) -> None:
        """Note that what was sent may be lost: a connection, or the server, is new."""
        self._fetched = False

    def forget(self) -> None:
        """Forget it: it was computed on other weights."""
        self.round_index, self._sent = -1, None
