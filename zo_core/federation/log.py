"""The round log: a snapshot and the results since; together they are the model at any round."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from zo_core.federation.replica import Replica
from zo_core.payload import Payload, Snapshot

if TYPE_CHECKING:  # that package imports this one
    from zo_core.algorithms.base import Method, RoundContext


class RoundLog:
    """Results in memory as encoded bodies, from the hand-over on.

    Args:
        snapshot: the state that the first result applies to.
        context_of: derives a round's context, as every party can.
    """

    def __init__(self, snapshot: Snapshot, context_of: Callable[[int], RoundContext]) -> None:
        self.snapshot = snapshot
        self._context_of = context_of
        self._bodies: list[bytes] = []

    @property
    def next_round(self) -> int:
        """The round whose result comes next."""
        return self.snapshot.round_index + len(self._bodies)

    @property
    def bodies(self) -> tuple[bytes, ...]:
        """Encoded results, from the snapshot's round on."""
        return tuple(self._bodies)

    def append(self, result: Payload) -> None:
        """Add a round's result.

        Raises:
            ValueError: it is not the next round's.
        """
        if result.round_index != self.next_round:
            raise ValueError(
                f"the log's next round is {self.next_round}, got a result of {result.round_index}"
            )
        self._bodies.append(result.encode())

    def catch_up_bytes(self, from_round: int) -> int:
        """Count what a replica that holds the weights before from_round must download."""
        tail = sum(map(len, self._bodies[from_round - self.snapshot.round_index :]))
        whole = self.snapshot.num_bytes + sum(map(len, self._bodies))
        return tail if from_round >= self.snapshot.round_index else whole

    def replay_(self, method: Method, replica: Replica, *, from_round: int | None = None) -> None:
        """Bring a replica to the newest round.

        Args:
            method: the method of the logged rounds.
            replica: holds the weights before from_round.
            from_round: None to begin with the snapshot.

        Raises:
            ForkError: the replica's weights are not the run's.
            ValueError: the log does not reach back to from_round, or not up to it.
        """
        first = self.snapshot.round_index
        if from_round is None:
            replica.restore_(self.snapshot)
            from_round = first
        if not first <= from_round <= self.next_round:
            raise ValueError(
                f"from_round must be in [{first}, {self.next_round}], got {from_round}; "
                "begin with the snapshot (from_round=None)"
            )
        for body in self._bodies[from_round - first :]:
            result = Payload.decode(body)
            method.apply_(replica, result, self._context_of(result.round_index))
