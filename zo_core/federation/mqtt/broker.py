"""A broker inside the server's process, for a federation on one desk; Mosquitto is for more.

It is bounded in memory by :class:`zo_core.federation.mqtt.limits.Limits`, and reads no faster than
the run's server does.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

from zo_core.federation.mqtt.limits import Limits
from zo_core.federation.mqtt.link import Topics
from zo_core.federation.mqtt.passwords import Passwords
from zo_core.federation.mqtt.peer import Peer
from zo_core.federation.mqtt.reconnecting_session import LinkError
from zo_core.federation.mqtt.router import Router

_START_S = 10.0
_TEND_S = 1.0


class EmbeddedBroker:
    """A broker on a thread of its own.

    Args:
        host: address to listen at.
        port: TCP port.
        topics: the run's.
        server: the server's identity, which only it knows.
        certificate: for TLS, with its key; None for plain.
        key: the certificate's.
        passwords: a password file of mosquitto_passwd; None lets everyone in.
        limits: on what clients may do.

    Raises:
        OSError: the certificate, its key or the passwords cannot be read.
        ValueError: the password file is malformed.
    """

    def __init__(
        self,
        host: str,
        port: int,
        topics: Topics,
        server: str,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        passwords: Path | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._host, self._port = host, port
        self._tls = None if certificate is None else _server_tls(certificate, key)
        users = None if passwords is None else Passwords(passwords)
        self._router = Router(topics, server, users, limits or Limits())
        self._failure: BaseException | None = None
        self._up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)

    @property
    def turned_away(self) -> Counter[str]:
        """What was refused, by reason."""
        return self._router.turned_away.counts

    def start(self) -> None:
        """Listen.

        Raises:
            LinkError: the address is taken.
        """
        self._thread.start()
        if not self._up.wait(_START_S) or self._failure is not None:
            raise LinkError(
                f"the embedded broker cannot listen at {self._host}:{self._port} "
                f"({self._failure}); choose another --port, or use the broker that is there "
                "(--broker HOST)"
            )

    def stop(self) -> None:
        """Close all connections."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_START_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # start() reports it
            self._failure = error
        finally:
            self._up.set()

    async def _serve(self) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        listening = await loop.create_server(
            lambda: Peer(self._router), self._host, self._port, ssl=self._tls
        )
        self._up.set()
        async with listening:
            while not self._stop.is_set():
                self._router.tend()
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _TEND_S)
            self._router.close()


def _server_tls(certificate: Path, key: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context
