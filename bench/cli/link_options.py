"""Options of the commands that talk to an MQTT broker."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from bench.cli import refuse_unused, unused_options
from zo_core.federation.mqtt.link import Topics
from zo_core.federation.mqtt.security import (
    PASSWORD_VARIABLE,
    Security,
    is_loopback,
    password_from,
)

PLAIN_PORT, TLS_PORT = 1883, 8883
_NEEDED = {  # options -> the one without which they change nothing
    ("certificate", "key"): "ca",
    ("key",): "certificate",
    ("password_file",): "username",
}
_WHY = {"ca": ", which turns TLS on"}


def add_link_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the connection to the broker."""
    link = parser.add_argument_group("connection")
    link.add_argument(
        "--port",
        type=int,
        metavar="N",
        help=f"TCP port of the broker; default: {PLAIN_PORT}, or {TLS_PORT} with TLS",
    )
    link.add_argument(
        "--topic", default="zo", metavar="PREFIX", help="prefix of all MQTT topics; default: zo"
    )
    link.add_argument(
        "--ca",
        type=Path,
        metavar="FILE",
        help="certificate of the authority that signed the broker's, PEM; turns TLS on",
    )
    link.add_argument(
        "--certificate", type=Path, metavar="FILE", help="own certificate, PEM; default: none"
    )
    link.add_argument(
        "--key", type=Path, metavar="FILE", help="private key of --certificate, PEM; default: none"
    )
    link.add_argument("--username", metavar="NAME", help="user name at the broker; default: none")
    link.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help="file with the password in its first line; default: the environment variable"
        f" {PASSWORD_VARIABLE}",
    )
    link.add_argument(
        "--insecure",
        action="store_true",
        help="allow a connection to another machine without TLS",
    )


def security_of(arguments: argparse.Namespace) -> Security:
    """Collect the options that protect the connection.

    Raises:
        OSError: the password file cannot be read.
        ValueError: it contains no password, or an option lacks the one that it belongs to.
    """
    for names, needed in _NEEDED.items():
        if getattr(arguments, needed) is None:
            because = f"without --{needed}{_WHY.get(needed, '')}"
            refuse_unused(arguments, names, because)
    return Security(
        ca=arguments.ca,
        certificate=arguments.certificate,
        key=arguments.key,
        username=arguments.username,
        password=password_from(os.environ, arguments.password_file),
        insecure=arguments.insecure,
    )


def unused_on_link(arguments: argparse.Namespace, host: str) -> list[str]:
    """List what was given and changes nothing on the connection to a host, a line each."""
    if arguments.ca is not None:
        return unused_options(arguments, ["insecure"], "with --ca, which turns TLS on")
    if is_loopback(host):
        return unused_options(arguments, ["insecure"], f"on {host}, which is this machine")
    return []


def topics_of(arguments: argparse.Namespace) -> Topics:
    """Check the prefix of the topics.

    Raises:
        ValueError: it is empty or contains a wildcard.
    """
    prefix = arguments.topic.strip("/")
    if not prefix or set(prefix) & {"+", "#", "\0"}:
        raise ValueError(f"--topic must not contain wildcards (+, #), got {arguments.topic!r}")
    return Topics(prefix)


def port_of(arguments: argparse.Namespace) -> int:
    """Choose the broker's port."""
    if arguments.port is not None:
        return int(arguments.port)
    return PLAIN_PORT if arguments.ca is None else TLS_PORT
