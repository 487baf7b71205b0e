"""Digests of a simulation's rounds, hashed in a thread while the next round's forwards run.

For weights on an accelerator: they are copied to the host once per round, which takes a fraction of
the hashing, and the device is busy with forwards meanwhile.  A result waits for its digest before
it is logged; the bits are those of :meth:`zo_core.replica.Replica.digest`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from zo_core.digest import digest
from zo_core.payloads.core import DIGEST_PREFIX_BYTES, Payload
from zo_core.replica import Replica


class LateDigests:
    """At most one round's result that still lacks its digest.

    Args:
        replica: the run's.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="digest")
        self._waiting: tuple[Any, Future[bytes], Callable[[Payload], object]] | None = None

    def add(self, result: Payload, log: Callable[[Payload], object]) -> None:
        """Log a round's result once the weights as they stand are hashed; that begins now.

        Args:
            result: of a round that ran in :meth:`zo_core.replica.Replica.without_digests`.
            log: appends it.
        """
        self.settle()
        if not hasattr(result, "digest"):
            log(result)
            return
        hashing = self._thread.submit(digest_of_copy(self._replica))
        self._waiting = (result, hashing, log)

    def settle(self) -> None:
        """Wait for the last result's digest and log it; what went wrong in the thread is raised."""
        if self._waiting is None:
            return
        (result, hashing, log), self._waiting = self._waiting, None
        found = hashing.result()
        log(replace(result, digest=found[:DIGEST_PREFIX_BYTES]))


def digest_of_copy(replica: Replica) -> Callable[[], bytes]:
    """Copy a replica's state to the host now; calling the result hashes it."""
    grid = None if replica.grid is None else replica.grid.copy()
    weights = [_on_host(array) for array in replica.params.arrays]
    others = [_on_host(array) for array in replica.state_beside_weights()]
    return lambda: digest(weights, grid, frozen=others)


def _on_host(array: Any) -> Any:
    """Copy a NumPy array or a tensor to host memory."""
    if isinstance(array, np.ndarray):
        return array.copy()
    return array.detach().to("cpu", copy=True)
