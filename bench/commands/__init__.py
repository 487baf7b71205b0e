"""The sub-commands of ``zobench``, one a file: each has ``register``, which adds its parser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class UsageError(Exception):
    """The user's mistake; the message says argument, value, rule and way out."""


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what bad arguments raise into a UsageError; wrap the checking, never the work."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        raise UsageError(str(error)) from error
