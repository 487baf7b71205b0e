"""Who does what in which round: what every party of a run derives alike from its config."""

from __future__ import annotations

from collections.abc import Sequence

from zo_core.algorithms import build_algorithm
from zo_core.config import TrainConfig
from zo_core.data.resources import assign_resources
from zo_core.federation.cohort import sample_cohort
from zo_core.method import Algorithm, Method, Phase, RoundContext


class Schedule:
    """The rounds of a run, in one process or over a network.

    Args:
        config: how to train.
        algorithm: None to build what config.algorithm names.

    Raises:
        ValueError: an unknown algorithm, or an option that it does not take.
    """

    def __init__(self, config: TrainConfig, algorithm: Algorithm | None = None) -> None:
        self.config = config
        high = assign_resources(config.run_seed, config.clients, config.high_share)
        self.high = tuple(sorted(high))  # slots of the clients that can do backprop
        self.algorithm = algorithm or build_algorithm(config, self.high)

    @property
    def rounds(self) -> int:
        """Rounds of all phases."""
        return self.algorithm.rounds

    def phase_at(self, round_index: int) -> Phase:
        """Return the phase of a round.

        Raises:
            ValueError: the run has no such round.
        """
        return self.algorithm.phase_at(round_index)

    def method_at(self, round_index: int) -> Method:
        """Return the method of a round."""
        return self.phase_at(round_index).method

    def sends_weights(self, round_index: int) -> bool:
        """Whether a round's messages are whole weights; after the last round, as in the last."""
        return self.method_at(min(round_index, self.rounds - 1)).sends_weights

    def cohort_of(self, round_index: int) -> tuple[int, ...]:
        """Draw the slots that take part in a round, ascending."""
        phase = self.phase_at(round_index)
        return sample_cohort(self.config.run_seed, round_index, phase.pool, phase.cohort_size)

    def context_of(
        self, round_index: int, *, run_id: int, samples: int | Sequence[int]
    ) -> RoundContext:
        """Derive what every party knows of a round.

        Args:
            round_index: which one.
            run_id: names the run in messages.
            samples: training items of each client: one number where shards are equal.
        """
        cohort = self.cohort_of(round_index)
        if isinstance(samples, int):
            sizes = [samples] * len(cohort)
        else:
            sizes = [samples[slot] for slot in cohort]
        return RoundContext(
            run_seed=self.config.run_seed,
            run_id=run_id,
            round_index=round_index,
            cohort=cohort,
            samples=tuple(sizes),
        )
