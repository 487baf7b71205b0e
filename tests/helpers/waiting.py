"""What tests that wait share: a time that no busy machine reaches, and a port to listen at.

A test waits for what it expects and goes on at once when that comes.  Only a failure takes the
whole time, so that the time can be long.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress

WAIT_S = 120.0  # for what an idle machine does in a moment
NEVER_S = 1e6  # a time limit of the code under test that must not be reached

# Systems draw the ports of connections from 32,768 or 49,152 on, so none of these is taken between
# the draw and its use.  Test processes start far apart.
_FIRST_PORT, _NUM_PORTS = 10_000, 20_000
_next_port = itertools.count(211 * os.getpid())


def wait_until(condition: Callable[[], bool]) -> bool:
    """Wait until a condition is true; return whether it is."""
    ends_s = time.monotonic() + WAIT_S
    while not condition() and time.monotonic() < ends_s:
        time.sleep(0.01)
    return condition()


def free_port() -> int:
    """Return a TCP port at which nobody listens on this machine."""
    while True:
        port = _FIRST_PORT + next(_next_port) % _NUM_PORTS
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
