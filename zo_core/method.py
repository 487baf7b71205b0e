"""What a federated method is: a client's half, a server's half, and what every replica applies.

A method has no run loop; the loop is :mod:`zo_core.federation.rounds`.  An algorithm is a schedule
of methods.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from zo_core.payloads.core import Payload
from zo_core.replica import Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientData:
    """One client's training shard."""

    slot: int  # place in the roster
    x: Any  # (items, ...), torch tensor or, without torch, NumPy array
    y: Any  # (items, ...), likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundContext:
    """What every party knows about a round without a message."""

    run_seed: int
    run_id: int
    round_index: int
    cohort: tuple[int, ...]  # slots, ascending
    samples: tuple[int, ...]  # training items of each of the cohort

    def require_expected(self, update: Payload, *, slot: int, count: int, expected: int) -> None:
        """Check that an update belongs to this round.

        Raises:
            ValueError: it belongs to a different run, round or cohort, or has too many or too
                few scalars.
        """
        if (update.run_id, update.round_index) != (self.run_id, self.round_index):
            raise ValueError(
                f"an update must be of run {self.run_id}, round {self.round_index}, "
                f"got run {update.run_id}, round {update.round_index}"
            )
        at = bisect_left(self.cohort, slot)
        if self.cohort[at : at + 1] != (slot,) or count != expected:
            raise ValueError(
                f"an update must be of a slot in the cohort and hold {expected} scalars, "
                f"got slot {slot} with {count}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyReport:
    """What a result did to a replica."""

    zero_share: float | None = None  # share of weights whose increment rounded to zero
    widened: tuple[str, ...] = ()  # tensors whose quantum was doubled


class Method(Protocol):
    """One way to spend a round."""

    @property
    def name(self) -> str:
        """What the method is called in records."""

    @property
    def result_to_everyone(self) -> bool:
        """Who gets the result: each client of the roster (True), or only the cohort (False)."""

    @property
    def sends_weights(self) -> bool:
        """What messages contain: the weights that a client trained (True), or scalars (False)."""

    @property
    def trains_locally(self) -> bool:
        """How long a round takes: epochs of local training (True), or forwards (False).

        A server keeps a round of local training open for its longer deadline.
        """

    @property
    def needs_hand_over(self) -> bool:
        """When it may start: after the model was frozen and sent out as the origin (True), or at
        any weights (False).
        """

    @property
    def needs_grid(self) -> bool:
        """Whether the hand-over puts the weights on the grid."""

    def client_update(self, replica: Replica, client: ClientData, context: RoundContext) -> Payload:
        """Compute what a client sends; the replica ends as it was."""

    def server_result(
        self, replica: Replica, updates: Iterable[Payload], context: RoundContext
    ) -> tuple[Payload, ApplyReport]:
        """Fold updates as they come, in ascending slot order; step the server; give the result.

        A round without updates changes nothing.
        """

    def apply_(self, replica: Replica, result: Payload, context: RoundContext) -> ApplyReport:
        """Bring any other replica to the server's weights."""

    def message_for(self, replica: Replica, result: Payload, slot: int) -> Payload:
        """Return what a client is sent of a result: all of it, or the part that it holds."""

    def client_state_bytes(self, replica: Replica) -> int:
        """Count what a client keeps between rounds besides the model, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Some rounds by one method with cohorts from one pool."""

    method: Method
    rounds: int
    pool: tuple[int, ...]  # slots that may be sampled, ascending
    cohort_size: int  # clients per round; the whole pool if it is smaller


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """A schedule of phases; the pivot is the first round of the second."""

    phases: tuple[Phase, ...]
    # items a batch of the training data, from which batch norm's statistics are collected before
    # each evaluation; None where training keeps them
    statistics_batch: int | None = None
    least_items: int = 1  # training items that every client must have

    def require_items(self, items: int) -> None:
        """Check that clients have enough training items.

        Raises:
            ValueError: they have too few.
        """
        if items < self.least_items:
            raise ValueError(
                f"a client must have at least {self.least_items} training items, one for each of "
                f"its parts, got {items}; lower splits or the number of clients"
            )

    @property
    def rounds(self) -> int:
        """Rounds of all phases."""
        return sum(phase.rounds for phase in self.phases)

    def phase_at(self, round_index: int) -> Phase:
        """Return the phase of a round.

        Raises:
            ValueError: the run has no such round.
        """
        end = 0
        for phase in self.phases:
            end += phase.rounds
            if round_index < end:
                return phase
        raise ValueError(f"round_index must be in [0, {end}), got {round_index}")
