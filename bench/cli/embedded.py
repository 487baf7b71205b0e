"""The broker inside ``zobench serve``: where it listens and how clients reach it."""

from __future__ import annotations

import argparse
import ipaddress
import socket
from contextlib import ExitStack
from dataclasses import replace

from bench.cli.link_options import port_of, security_of
from zo_core.federation.mqtt.broker import EmbeddedBroker
from zo_core.federation.mqtt.link import Topics
from zo_core.federation.mqtt.security import Security

_ELSEWHERE = ("192.0.2.1", 9)  # an address of no machine (RFC 5737)


def check_embedded(arguments: argparse.Namespace) -> None:
    """Refuse what makes the broker and its server miss each other, or leaves the network plainly.

    Raises:
        ValueError: TLS or passwords are asked for in part, or a plain broker would be open to all.
    """
    names = ("ca", "certificate", "key")
    given = [f"--{name}" for name in names if getattr(arguments, name) is not None]
    if given and len(given) < len(names):
        raise ValueError(
            "TLS of the embedded broker takes --ca, --certificate and --key together, got "
            f"only {' and '.join(given)}; give all three (docs/federation.md makes them), or none"
        )
    if (arguments.passwords is None) != (arguments.username is None):
        raise ValueError(
            "the embedded broker takes --passwords and --username together: the file of all users, "
            "and the name of the server in it"
        )
    security_of(arguments).require_private(arguments.listen)


def start_embedded(
    arguments: argparse.Namespace, topics: Topics, identity: str, stack: ExitStack
) -> Security:
    """Start the broker; the stack stops it.

    Args:
        arguments: of ``zobench serve``, checked.
        topics: the run's.
        identity: the server's, which only it knows.
        stack: of what is to be closed.

    Returns:
        How its own server connects; the certificate is the broker's, and not shown to it.

    Raises:
        LinkError: it cannot listen.
        ValueError: the password file is malformed.
        OSError: it, or the certificate, cannot be read.
    """
    broker = EmbeddedBroker(
        arguments.listen,
        port_of(arguments),
        topics,
        arguments.username or identity,  # a broker with passwords knows its users by name
        certificate=arguments.certificate,
        key=arguments.key,
        passwords=arguments.passwords,
    )
    broker.start()
    stack.callback(broker.stop)
    return replace(security_of(arguments), certificate=None, key=None)


def own_address(listen: str) -> str:
    """Return the address at which this process reaches its own broker.

    >>> own_address("0.0.0.0"), own_address("192.168.1.5")
    ('127.0.0.1', '192.168.1.5')
    """
    if not _is_wildcard(listen):
        return listen
    return "::1" if ":" in listen else "127.0.0.1"


def outer_address(listen: str) -> str:
    """Return where other devices reach a broker that listens at an address or a wildcard."""
    if not _is_wildcard(listen):
        return listen
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)  # chooses an interface and sends nothing
        except OSError:  # no way out of this machine
            return socket.gethostname()
        return str(probe.getsockname()[0])


def _is_wildcard(listen: str) -> bool:
    try:
        return ipaddress.ip_address(listen).is_unspecified
    except ValueError:  # a name
        return False
