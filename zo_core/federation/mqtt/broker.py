"""A broker inside the server's process, for a federation on one desk; Mosquitto is for more.

Each client may publish and subscribe to its own topics alone.  Import this where it is used: it
needs amqtt, of the extra ``mqtt``.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    from amqtt.broker import Broker
    from amqtt.contexts import Action
    from amqtt.plugins.base import BaseTopicPlugin
    from amqtt.session import Session
except ImportError as error:
    raise ImportError('amqtt is not installed: pip install -e ".[mqtt]"') from error

from zo_core.federation.mqtt.connection import LinkError, Topics

_START_S = 10.0


class OwnTopics(BaseTopicPlugin):  # type: ignore[misc]
    """Hold each client to its own topics; the server may use all."""

    @dataclass
    class Config:
        """Settings, as the broker passes them."""

        prefix: str = "zo"
        server: str = "server"

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool:
        """Say whether a session may do something with a topic."""
        if session is None or topic is None:
            return False
        identity = session.username or session.client_id
        if identity == self.config.server:
            return True
        topics = Topics(self.config.prefix)
        if action == Action.PUBLISH:
            return topic in (topics.up(identity), topics.gone(identity))
        return topic in (topics.everyone, topics.down(identity))


class Subscriptions(dict[str, Any]):
    """The broker's subscriptions; ``items()`` is a copy.

    amqtt 0.12 waits while it goes through them to send a message. A client that subscribes
    meanwhile would end the loop, and with it all sending.
    """

    def items(self) -> Any:
        """Return the pairs as they are now."""
        return list(super().items())


class EmbeddedBroker:
    """A broker on a thread of its own.

    Args:
        host: address to listen at.
        port: TCP port.
        topics: the run's.
        server: the server's identity, which only it knows.
        certificate: for TLS, with its key; None for plain.
        key: the certificate's.
        passwords: amqtt's password file; None lets everyone in.
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
    ) -> None:
        self._where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        listener: dict[str, Any] = {"type": "tcp", "bind": self._where}
        if certificate is not None:
            listener |= {"ssl": True, "certfile": str(certificate), "keyfile": str(key)}
        own = f"{OwnTopics.__module__}.{OwnTopics.__qualname__}"
        plugins: dict[str, Any] = {own: {"prefix": topics.prefix, "server": server}}
        if passwords is None:
            plugins["amqtt.plugins.authentication.AnonymousAuthPlugin"] = {"allow_anonymous": True}
        else:
            name = "amqtt.plugins.authentication.FileAuthPlugin"
            plugins[name] = {"password_file": str(passwords)}
        self._config = {"listeners": {"default": listener}, "plugins": plugins}
        self._failure: BaseException | None = None
        self._up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)

    def start(self) -> None:
        """Listen.

        Raises:
            LinkError: the address is taken, or a certificate cannot be read.
        """
        logging.getLogger("amqtt").setLevel(logging.ERROR)
        logging.getLogger("transitions").setLevel(logging.ERROR)
        self._thread.start()
        if not self._up.wait(_START_S) or self._failure is not None:
            raise LinkError(
                f"the embedded broker cannot listen at {self._where} ({self._failure}); choose "
                "another --port, or use the broker that is there (--broker HOST)"
            )

    def stop(self) -> None:
        """Close all connections."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_START_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # told to whoever started the thread
            self._failure = error
        finally:
            self._up.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        broker = Broker(self._config)
        broker._subscriptions = Subscriptions()
        await broker.start()
        self._up.set()
        await self._stop.wait()
        await broker.shutdown()
