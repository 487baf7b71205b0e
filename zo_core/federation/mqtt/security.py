"""How a connection to a broker is kept private, and when it may be plain."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # loaded where it is used: OpenSSL takes 3 MiB
    import ssl

PASSWORD_VARIABLE = "ZOBENCH_MQTT_PASSWORD"


class InsecureError(ValueError):
    """A plain connection beyond this machine that nobody asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """TLS, username and password, or client certificates."""

    ca: Path | None = None  # certificates that sign the broker's; None: no TLS
    certificate: Path | None = None  # this party's own, with its key
    key: Path | None = None
    username: str | None = None
    password: str | None = None
    insecure: bool = False  # allow a plain connection to another machine

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.ca is not None

    def context(self) -> ssl.SSLContext | None:
        """Build the TLS settings; None for a plain connection.

        Raises:
            OSError: a certificate or key cannot be read.
        """
        if self.ca is None:
            return None
        import ssl

        context = ssl.create_default_context(cafile=str(self.ca))
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context

    def require_private(self, host: str) -> None:
        """Refuse a plain connection that leaves this machine.

        Raises:
            InsecureError: it does, and insecure is not set.
        """
        if self.tls or self.insecure or is_loopback(host):
            return
        raise InsecureError(
            f"a connection to {host} without TLS can be read and altered by others; give the "
            "broker's certificate authority (--ca FILE), or --insecure on a network of your own"
        )


def is_tls(connection: socket.socket) -> bool:
    """Tell whether a socket is encrypted."""
    ssl = sys.modules.get("ssl")
    return ssl is not None and isinstance(connection, ssl.SSLSocket)


def tls_waits() -> tuple[type[OSError], ...]:
    """Return the errors by which an encrypted socket that does not block asks to wait."""
    ssl = sys.modules.get("ssl")
    return () if ssl is None else (ssl.SSLWantReadError, ssl.SSLWantWriteError)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, without asking a name server."""
    if host in ("localhost", "localhost.localdomain"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def password_from(environment: os._Environ[str] | dict[str, str], file: Path | None) -> str | None:
    """Read a password from a file's first line or the environment, never from the command line.

    Raises:
        OSError: the file cannot be read.
        ValueError: its first line is empty.
    """
    if file is not None:
        password = file.read_text().partition("\n")[0]
        if not password:
            raise ValueError(
                "--password-file must contain the password in its first line, which is empty in "
                f"{file}; write it there, or set {PASSWORD_VARIABLE} in place of the file"
            )
        return password
    return environment.get(PASSWORD_VARIABLE)
