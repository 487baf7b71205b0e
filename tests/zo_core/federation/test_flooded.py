"""Rounds go on in bounded memory while a stranger sends as much as the embedded broker takes."""

from __future__ import annotations

import resource
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from network import reference
from test_mqtt import PLAIN, TOPICS, new_server, run_all
from waiting import WAIT_S, free_port, wait_until

from zo_core.federation.mqtt import packets
from zo_core.federation.mqtt.broker import EmbeddedBroker
from zo_core.federation.mqtt.limits import Limits
from zo_core.federation.mqtt.link import SERVER
from zo_core.federation.mqtt.security import Security
from zo_core.federation.protocol.messages import Reason

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.network,
    pytest.mark.process,
]
LIMITS = Limits(packet_bytes=4096, messages_per_s=200.0)
MOST_GROWTH_MIB = 64


def flood(port: int, body: bytes, ends: threading.Event) -> None:
    """Say again and again who one is, then publish until the connection ends."""
    introduction = packets.connect(packets.Connect(client_id="stranger", keep_alive_s=60))
    message = packets.publish(TOPICS.up("stranger"), body)
    while not ends.wait(0.05):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0) as raw:
            raw.sendall(introduction)
            while not ends.is_set():
                raw.sendall(message)


@pytest.mark.parametrize("size", [3900, 4100], ids=["within the limit", "above the limit"])
def test_rounds_go_on_while_a_stranger_floods_the_broker(tmp_path: Path, size: int) -> None:
    own = EmbeddedBroker("127.0.0.1", port := free_port(), TOPICS, SERVER, limits=LIMITS)
    own.start()
    server, ends = new_server(tmp_path, rounds=30), threading.Event()
    stranger = threading.Thread(target=flood, args=(port, bytes(size), ends), daemon=True)

    def once_the_stranger_is_heard(name: str) -> Security:
        assert name == SERVER or wait_until(lambda: bool(server.refused or own.turned_away))
        return PLAIN

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stranger.start()
    try:
        run_all(server, port, tmp_path, secured=once_the_stranger_is_heard)
    finally:
        ends.set()
        stranger.join(WAIT_S)
        own.stop()
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mib < MOST_GROWTH_MIB
    assert server.replica.digest() == reference(server.plan).digest()
    if size < LIMITS.packet_bytes:
        assert server.refused.keys() == {Reason.MALFORMED}
    else:
        assert server.refused == {}
        assert own.turned_away["connections with over-long packets"] > 0
