"""Password files of Mosquitto (``mosquitto_passwd``), which the embedded broker reads too."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

_PBKDF2 = "7"  # mosquitto_passwd's default: iterations, salt, hash


class Passwords:
    """Users and their hashed passwords.

    Args:
        file: lines of ``user:$7$iterations$salt$hash``.

    Raises:
        ValueError: a line has another form.
        OSError: the file cannot be read.
    """

    def __init__(self, file: Path) -> None:
        self._users: dict[str, tuple[int, bytes, bytes]] = {}
        for number, line in enumerate(file.read_text().splitlines(), start=1):
            if line.strip():
                user, entry = _parsed(line, f"line {number} of {file}")
                self._users[user] = entry

    def fits(self, user: str | None, password: bytes | None) -> bool:
        """Whether a user exists and has this password."""
        if user is None or password is None or user not in self._users:
            return False
        iterations, salt, expected = self._users[user]
        given = hashlib.pbkdf2_hmac("sha512", password, salt, iterations)
        return hmac.compare_digest(given, expected)


def _parsed(line: str, where: str) -> tuple[str, tuple[int, bytes, bytes]]:
    user, _, entry = line.strip().partition(":")
    try:
        _, kind, iterations, salt, digest = entry.split("$")
        if kind != _PBKDF2:
            raise ValueError(kind)
        return user, (int(iterations), base64.b64decode(salt), base64.b64decode(digest))
    except ValueError as error:
        raise ValueError(
            f"{where} must have the form that mosquitto_passwd writes, user:$7$...; make the file "
            "with `mosquitto_passwd -c FILE USER`"
        ) from error
