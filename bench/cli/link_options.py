"""Options of the commands that talk to an MQTT broker."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from zo_core.federation.mqtt.connection import Topics
from zo_core.federation.mqtt.security import PASSWORD_VARIABLE, Security, password_from

PLAIN_PORT, TLS_PORT = 1883, 8883


def add_link_options(parser: argparse.ArgumentParser) -> None:
    """Add how the broker is reached and trusted."""
    link = parser.add_argument_group("connection")
    link.add_argument("--port", type=int, help=f"default: {PLAIN_PORT}, with TLS {TLS_PORT}")
    link.add_argument("--topic", default="zo", metavar="PREFIX", help="of all topics; default: zo")
    link.add_argument("--ca", type=Path, metavar="FILE", help="authority of the broker's: TLS")
    link.add_argument("--certificate", type=Path, metavar="FILE", help="this party's own")
    link.add_argument("--key", type=Path, metavar="FILE", help="the certificate's")
    link.add_argument("--username", help="for the broker; default: none")
    link.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help=f"its first line; default: ${PASSWORD_VARIABLE}",
    )
    link.add_argument(
        "--insecure", action="store_true", help="allow a plain connection to another machine"
    )


def security_of(arguments: argparse.Namespace) -> Security:
    """Collect how the connection is kept private.

    Raises:
        OSError: the password's file cannot be read.
        ValueError: it holds none.
    """
    return Security(
        ca=arguments.ca,
        certificate=arguments.certificate,
        key=arguments.key,
        username=arguments.username,
        password=password_from(os.environ, arguments.password_file),
        insecure=arguments.insecure,
    )


def topics_of(arguments: argparse.Namespace) -> Topics:
    """Check the topics' prefix.

    Raises:
        ValueError: it holds a wildcard, or nothing.
    """
    prefix = arguments.topic.strip("/")
    if not prefix or set(prefix) & {"+", "#", "\0"}:
        raise ValueError(f"--topic must be a topic without wildcards, got {arguments.topic!r}")
    return Topics(prefix)


def port_of(arguments: argparse.Namespace) -> int:
    """Choose the broker's port."""
    if arguments.port is not None:
        return int(arguments.port)
    return PLAIN_PORT if arguments.ca is None else TLS_PORT
