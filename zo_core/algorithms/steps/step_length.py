"""A step length that follows the loss: it doubles until the loss first rises; from then on it grows
by a tenth after each round in which the loss fell, and halves after each in which it rose.

Only the loss of what a round's clients train on is compared, over those that were in the round
before as well.  A client knows it without a further forward: the mean of the losses from which it
takes its differences is the loss at the round's weights up to terms of order rho^2.  The rule is
the "bold driver" of Battiti (1989) and of Vogl et al. (1988), with a doubling at the start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from zo_core.payloads.fields import Floats

STEP_LENGTHS: Final = ("constant", "adaptive")
_DOUBLED, _LONGER, _SHORTER = 2.0, 1.1, 0.5
_MOST = 2.0**40  # the factor stays in [1 / _MOST, _MOST], far from what float32 cannot hold
_NUMBERS = 2  # of the state, before those of each client


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLength:
    """What a run's rate is multiplied by, and what the next factor follows from."""

    factor: float = 1.0  # exact in float32
    has_risen: bool = False  # the loss, at least once
    losses: Mapping[int, float] = field(default_factory=dict)  # of the last round, by slot

    def after(self, losses: Mapping[int, float]) -> StepLength:
        """Return the step length of the round whose losses these are.

        Args:
            losses: mean loss at the round's weights by slot, float32 values.

        >>> first = StepLength().after({0: 2.0, 1: 1.0})
        >>> second = first.after({0: 1.5, 1: 1.25})
        >>> [length.factor for length in (first, second, second.after({0: 1.75}))]
        [1.0, 2.0, 1.0]
        """
        both = sorted(losses.keys() & self.losses.keys())
        if not both:
            return replace(self, losses=losses)
        # exactly rounded, so that no replica depends on how its Python adds
        rises = math.fsum(losses[slot] - self.losses[slot] for slot in both) > 0
        return StepLength(
            factor=self._times(self._multiplier(rises=rises)),
            has_risen=self.has_risen or rises,
            losses=losses,
        )

    def _multiplier(self, *, rises: bool) -> float:
        if rises:
            return _SHORTER
        return _LONGER if self.has_risen else _DOUBLED

    def _times(self, multiplier: float) -> float:
        return min(max(float(np.float32(self.factor * multiplier)), 1 / _MOST), _MOST)

    @staticmethod
    def size(clients: int) -> int:
        """Count the numbers of a state."""
        return _NUMBERS + 2 * clients

    def packed(self, clients: int) -> Floats:
        """Return the state as float32, (2 + 2 clients,): factor, risen, who was there, losses."""
        numbers = np.zeros(self.size(clients), np.float32)
        numbers[:_NUMBERS] = self.factor, self.has_risen
        there, losses = numbers[_NUMBERS:].reshape(2, clients)
        for slot, loss in self.losses.items():
            there[slot], losses[slot] = 1, loss
        return numbers

    @classmethod
    def unpacked(cls, numbers: Floats) -> StepLength:
        """Rebuild a step length; zeros are that of the start."""
        factor, has_risen = numbers[:_NUMBERS].tolist()
        there, losses = numbers[_NUMBERS:].reshape(2, -1)
        known = {int(slot): float(losses[slot]) for slot in np.flatnonzero(there)}
        return cls(factor=factor or 1.0, has_risen=bool(has_risen), losses=known)


def noted(loss_fn: Callable[[], float], seen: list[float]) -> Callable[[], float]:
    """Return a loss function that also appends each loss to a list."""

    def loss() -> float:
        seen.append(value := loss_fn())
        return value

    return loss


def mean_of(losses: list[float]) -> float:
    """Return the mean of losses as a float32 value."""
    return float(np.float32(math.fsum(losses) / len(losses)))
