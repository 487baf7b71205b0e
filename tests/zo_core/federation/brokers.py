"""Brokers of a test's own, on loopback: Mosquitto and the embedded one."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optional import find_tool
from waiting import free_port, wait_until

from zo_core.federation.mqtt.link import SERVER, Topics

MOSQUITTO = find_tool("mosquitto")


class Mosquitto:
    """A broker of this test alone, on loopback."""

    def __init__(self, folder: Path, more: str = "allow_anonymous true\n") -> None:
        self.port = free_port()
        self._conf = folder / "mosquitto.conf"
        self._conf.write_text(
            f"listener {self.port} 127.0.0.1\nset_tcp_nodelay true\npersistence false\n{more}"
        )
        self.start()

    def start(self) -> None:
        command = [str(MOSQUITTO), "-c", str(self._conf)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        assert wait_until(lambda: self._listens() or self._process.poll() is not None)
        assert self._process.poll() is None, "mosquitto does not listen"

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def broker(kind: str, folder: Path, topics: Topics) -> Iterator[int]:
    """Run an "embedded" broker or a "mosquitto" with its defaults; give its port."""
    if kind == "mosquitto":
        own = Mosquitto(folder)
        try:
            yield own.port
        finally:
            own.stop()
        return
    from zo_core.federation.mqtt.broker import EmbeddedBroker

    embedded = EmbeddedBroker("127.0.0.1", port := free_port(), topics, SERVER)
    embedded.start()
    try:
        yield port
    finally:
        embedded.stop()
