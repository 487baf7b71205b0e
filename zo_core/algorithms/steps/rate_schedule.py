"""The learning rate of a phase as a function of the round's number, the same bits everywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

SCHEDULES = ("constant", "linear", "cosine")
_TERMS = 15  # of the series: the last is below 2^-60


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSchedule:
    """A factor of the rate: 1, or one that falls from 1 towards 0 over the phase's rounds."""

    name: str  # one of SCHEDULES
    first_round: int
    rounds: int

    @property
    def end(self) -> int:
        """The round after the last."""
        return self.first_round + self.rounds

    def factor(self, round_index: int) -> float:
        """Return the factor of a round's rate, in (0, 1], in float64.

        >>> [RateSchedule(name="linear", first_round=2, rounds=4).factor(r) for r in range(2, 6)]
        [1.0, 0.75, 0.5, 0.25]
        """
        share = (round_index - self.first_round) / self.rounds
        if self.name == "constant":
            return 1.0
        return 1.0 - share if self.name == "linear" else 0.5 + 0.5 * _cosine(share)


def _cosine(half_turns: float) -> float:
    """Compute cos(pi x) for x in [0, 1]: sin(pi / 2 - pi x) by additions, products and quotients.

    The C library's cosine may differ in the last bit from one machine to another.
    """
    angle = math.pi * (0.5 - half_turns)
    term = total = angle
    for n in range(2, 2 * _TERMS, 2):
        term *= -(angle * angle) / (n * (n + 1))
        total += term
    return total
