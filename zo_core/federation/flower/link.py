"""The round protocol over Flower: the same bytes, in the records of its messages.

A Flower client speaks when it is asked, and its process may end between two messages.  So the
server asks whoever it has something for, and a client keeps what it is, its Welcome and a snapshot
of its weights, in the state that Flower keeps for it.  Import this where it is used: it needs flwr,
of the extra ``flower``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

try:
    from flwr.app import ConfigRecord, Context, Message, MessageType, RecordDict
    from flwr.serverapp import Grid
except ImportError as error:
    raise ImportError('flwr is not installed: pip install "zobench[flower]"') from error

from zo_core.federation.protocol import catch_up
from zo_core.federation.protocol.actions import Action, Ask, Compute, Offer, Stop
from zo_core.federation.protocol.client import Client
from zo_core.federation.protocol.compute_update import compute_update
from zo_core.federation.protocol.messages import Welcome
from zo_core.federation.protocol.server import Server
from zo_core.federation.protocol.transfer import MAX_CHUNK_BYTES, SERVER_SLOT, Body, Purpose
from zo_core.payloads.core import Payload, PayloadError

RECORD = "zo"  # of a message's content and of a client's state
_BODIES = "bodies"  # its one entry: a list of encoded messages
_POLL_S = 0.2


class Exchange:
    """The server's end: a mailbox for each node, and one question at a time to each.

    Args:
        server: begun or resumed.
        grid: what Flower gives a server app.
    """

    def __init__(self, server: Server, grid: Grid) -> None:
        self.server, self.grid = server, grid
        self._mail: dict[int, list[bytes]] = {}
        self._asked: dict[str, int] = {}  # message id -> node that has not replied
        self._act(server.start(time.monotonic()))

    def step(self) -> None:
        """Meet new nodes, send what waits, take what came, let time pass."""
        self._meet()
        self._ask()
        self._hear()
        self._act(self.server.tick(time.monotonic()))

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nobody is asked."""
        return not self._asked and not any(self._mail.values())

    def _meet(self) -> None:
        nodes = set(self.grid.get_node_ids())
        for node in self._mail.keys() - nodes:
            del self._mail[node]
            self._act(self.server.lost(name_of(node), time.monotonic()))
        for node in nodes - self._mail.keys():
            self._mail[node] = []
            self._push([node])  # with nothing, which asks who it is

    def _ask(self) -> None:
        busy = set(self._asked.values())
        self._push([node for node, mail in self._mail.items() if mail and node not in busy])

    def _push(self, nodes: list[int]) -> None:
        messages = [
            Message(
                content=RecordDict({RECORD: _record(self._mail[node])}),
                message_type=MessageType.TRAIN,
                dst_node_id=node,
            )
            for node in nodes
        ]
        for node, asked in zip(nodes, self.grid.push_messages(messages), strict=True):
            self._mail[node] = []
            self._asked[asked] = node

    def _hear(self) -> None:
        for reply in self.grid.pull_messages(list(self._asked)):
            node = self._asked.pop(reply.metadata.reply_to_message_id)
            now = time.monotonic()
            if reply.has_error():
                self._mail.pop(node, None)  # met anew, it says where it stands
                self._act(self.server.lost(name_of(node), now))
                continue
            for body in _bodies(reply.content):
                self._act(self.server.receive(name_of(node), body, now))

    def _act(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Stop | Compute):
                continue
            for body in _whole(action):
                for node, mail in self._mail.items():
                    if action.to in (None, name_of(node)):
                        mail.append(body)


def serve(server: Server, grid: Grid, *, refresh: Callable[[], None] = lambda: None) -> Stop:
    """Run a server until its run is over and everybody has been told."""
    exchange = Exchange(server, grid)
    while server.over is None or not exchange.idle:
        exchange.step()
        refresh()
        time.sleep(_POLL_S)
    return server.over


def answer(message: Message, context: Context, client: Client) -> Message:
    """Take a message of the server, reply with what the client says; its state is kept in context.

    Args:
        message: the server's.
        context: of the run at this node.
        client: new; it goes on where the one of the last message stood.
    """
    said: list[bytes] = []

    def act(actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Compute):
                act(compute_update(client, action))
            else:
                said.extend(_whole(action))

    now, kept, came = time.monotonic(), _bodies(context.state), _bodies(message.content)
    for body in kept:
        client.receive(body, now)
    if not came:
        act(client.connected(now))
    for body in came:
        act(client.receive(body, now))
    context.state[RECORD] = _record(_remembered(client, [*kept, *came]))
    return Message(RecordDict({RECORD: _record(said)}), reply_to=message)


def name_of(node: int) -> str:
    """Name a node as the roster does."""
    return f"node-{node}"


def _remembered(client: Client, bodies: Iterable[bytes]) -> list[bytes]:
    """What brings a new client to where this one stands: a Welcome, and a catch-up by itself."""
    welcome = [body for body in bodies if _is_welcome(body)][:1]
    if client.plan is None or client.replica is None or not client.holds_weights:
        return welcome
    run = {"run_id": client.plan.run_id, "round_index": client.next_round}
    snapshot = client.replica.snapshot(**run)
    body = Body(
        data=catch_up.pack([snapshot.encode()]),
        purpose=Purpose.CATCH_UP,
        slot=SERVER_SLOT,
        chunk_bytes=MAX_CHUNK_BYTES,
        **run,
    )
    return [*welcome, *body.pieces()]


def _whole(action: Action) -> Iterable[bytes]:
    """Return an action's messages; a long body goes whole, since Flower loses none of it."""
    if isinstance(action, Stop | Compute | Ask):
        return ()
    return action.body.pieces() if isinstance(action, Offer) else action.bodies()


def _is_welcome(body: bytes) -> bool:
    try:
        return isinstance(Payload.decode(body), Welcome)
    except PayloadError:
        return False


def _record(bodies: list[bytes]) -> ConfigRecord:
    return ConfigRecord({_BODIES: bodies} if bodies else {})


def _bodies(records: RecordDict) -> list[bytes]:
    record: Any = records.get(RECORD, {})
    return list(record.get(_BODIES, []))
