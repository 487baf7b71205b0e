"""The embedded broker's side of all connections: who may connect, and who gets which message.

Sessions are clean and subscriptions are granted at QoS 0: within a connection TCP loses nothing.
Each client may publish and subscribe to its own topics only.
"""

from __future__ import annotations

from zo_core.federation.mqtt import packets
from zo_core.federation.mqtt.limits import Limits, TurnedAway
from zo_core.federation.mqtt.link import Topics
from zo_core.federation.mqtt.packets import Connect, ConnectCode, Publish
from zo_core.federation.mqtt.passwords import Passwords
from zo_core.federation.mqtt.peer import Peer

_REFUSED_TOPIC = 128
_FEW_BYTES = 1 << 16  # that may wait for each client, whatever waits for the others


class Router:
    """All connections of a broker.

    Args:
        topics: the run's.
        server: the server's identity.
        passwords: of all users; None lets everyone in.
        limits: on what clients may do.
    """

    def __init__(
        self, topics: Topics, server: str, passwords: Passwords | None, limits: Limits
    ) -> None:
        self.limits, self.turned_away = limits, TurnedAway()
        self._topics, self._server, self._passwords = topics, server, passwords
        self._peers: set[Peer] = set()
        self._by_identity: dict[str, Peer] = {}
        self._subscribers: dict[str, set[Peer]] = {}
        self._retained: dict[str, bytes] = {}
        self._behind = False  # the server: until it has caught up nothing is read of clients

    def is_server(self, peer: Peer) -> bool:
        """Whether a connection is the run's server's."""
        return peer.identity == self._server

    # --- connections -----------------------------------------------------------------------------

    def arrived(self, peer: Peer) -> None:
        """Take a new connection, if there is room."""
        self._peers.add(peer)
        if len(self._peers) > self.limits.clients + 1:
            self.turn_away(peer, "connections beyond the limit")

    def connect(self, peer: Peer, request: Connect) -> None:
        """Let a client in; an older connection of its name ends."""
        identity = request.username or request.client_id
        code = self._judge(identity, request)
        if code != ConnectCode.ACCEPTED:
            self.turned_away.note(f"connects: {code.name.lower().replace('_', ' ')}")
            peer.transport.write(packets.connack(code))
            peer.transport.close()
            return
        earlier = self._by_identity.get(identity)
        if earlier is not None:
            self.turn_away(earlier, "connections displaced by another of their name")
            self.left(earlier)
        self._by_identity[identity] = peer
        most = packets.MOST_BYTES if identity == self._server else self.limits.packet_bytes
        peer.welcome(request, identity, most)
        if self._behind and identity != self._server:
            peer.hold()

    def left(self, peer: Peer) -> None:
        """Forget a connection; tell the server of a client that did not say goodbye."""
        self._peers.discard(peer)
        for topic in peer.topics:
            self._subscribers[topic].discard(peer)
        peer.topics.clear()
        if peer.identity is None or self._by_identity.get(peer.identity) is not peer:
            return
        del self._by_identity[peer.identity]
        if self.is_server(peer):
            self.caught_up(peer)
        if peer.will is not None:
            self.publish(peer, peer.will)

    def turn_away(self, peer: Peer, reason: str) -> None:
        """End a connection, and count why."""
        self.turned_away.note(reason)
        peer.transport.abort()

    def tend(self) -> None:
        """End what is silent, and log; to be called every second."""
        for peer in [peer for peer in self._peers if peer.is_silent]:
            self.turn_away(peer, "connections that fell silent")
        self.turned_away.log()

    def close(self) -> None:
        """End all connections."""
        for peer in list(self._peers):
            peer.transport.close()

    def _judge(self, identity: str, request: Connect) -> ConnectCode:
        if self._passwords is not None:
            fits = self._passwords.fits(request.username, request.password)
            return ConnectCode.ACCEPTED if fits else ConnectCode.WRONG_PASSWORD
        taken = identity == self._server and identity in self._by_identity
        known = 0 < len(identity) <= 128
        return ConnectCode.ACCEPTED if known and not taken else ConnectCode.IDENTITY_REFUSED

    # --- messages --------------------------------------------------------------------------------

    def subscribe(self, peer: Peer, topic: str) -> int:
        """Subscribe a connection; return MQTT's code."""
        assert peer.identity is not None  # connected
        own = (self._topics.everyone, self._topics.down(peer.identity))
        if not self.is_server(peer) and topic not in own:
            self.turned_away.note("subscriptions to topics of others")
            return _REFUSED_TOPIC
        peer.topics.add(topic)
        self._subscribers.setdefault(topic, set()).add(peer)
        return 0

    def publish(self, peer: Peer, message: Publish) -> None:
        """Hand a message to those who subscribed; what a client may not publish is dropped."""
        assert peer.identity is not None  # connected
        own = (self._topics.up(peer.identity), self._topics.gone(peer.identity))
        if not self.is_server(peer) and (message.topic not in own or message.retain):
            self.turned_away.note("messages to topics of others")
            return
        if message.retain:
            self._retained[message.topic] = message.body
        wild = message.topic.rpartition("/")[0] + "/+"
        heard_by = self._subscribers.get(message.topic, set()) | self._subscribers.get(wild, set())
        if heard_by:
            encoded = packets.publish(message.topic, message.body)
            for other in heard_by:
                self._send(other, encoded)

    def deliver_retained(self, peer: Peer, topics: list[str]) -> None:
        """Hand what is kept of topics to one who has just subscribed."""
        for topic in peer.topics.intersection(topics, self._retained):
            if self._retained[topic]:
                self._send(peer, packets.publish(topic, self._retained[topic], retain=True))

    def _send(self, peer: Peer, encoded: bytes) -> None:
        """Send to one party; a client that does not read loses messages, the server none."""
        full = peer.transport.get_write_buffer_size() + len(encoded) > self.limits.queued_bytes
        if full and not self.is_server(peer):
            self.turned_away.note("messages to clients that do not read")
            return
        peer.transport.write(encoded)
        self.check_memory(peer)

    # --- memory ----------------------------------------------------------------------------------

    def check_memory(self, peer: Peer) -> None:
        """End the connection that makes all clients together wait for too many bytes."""
        if self.is_server(peer) or peer.buffered_bytes < _FEW_BYTES:
            return
        clients = (p for p in self._peers if not self.is_server(p))
        if sum(p.buffered_bytes for p in clients) > self.limits.buffered_bytes:
            self.turn_away(peer, "connections beyond the broker's memory")

    def fell_behind(self, peer: Peer) -> None:
        """Read no more of clients while the server has much to take."""
        if self.is_server(peer) and not self._behind:
            self._behind = True
            for other in self._by_identity.values():
                if other is not peer:
                    other.hold()

    def caught_up(self, peer: Peer) -> None:
        """Read of clients again."""
        if self.is_server(peer) and self._behind:
            self._behind = False
            for other in self._by_identity.values():
                if other is not peer:
                    other.release()
