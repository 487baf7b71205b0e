"""FedKSeed-Pro (Qin et al., arXiv 2312.06353, section 3.3): candidates that mattered are drawn more
often.

Candidate j is drawn with p = softmax(a'), where a_j is the mean, over the rounds in which its
scalar moved, of how far it moved, and a' is a scaled to [0, 1] as in the authors' code.  Every
replica sees the pools of all rounds, so each has the history by itself and it costs no bytes; the
authors' server keeps the clients' single scalars and sends the probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.baselines.fedkseed import FedKSeed, FedKSeedOptions
from zo_core.algorithms.steps.phases import from_scratch
from zo_core.algorithms.steps.zo_client import local_step_fields
from zo_core.config import TrainConfig
from zo_core.method import Algorithm, RoundContext
from zo_core.philox import Purpose, random_uniform
from zo_core.replica import Replica, gather


@dataclass(frozen=True, slots=True, kw_only=True)
class FedKSeedPro(FedKSeed):
    """FedKSeed with candidates drawn by how much they moved the model so far."""

    name: str = "fedkseed-pro"

    @property
    def history_size(self) -> int:
        """Numbers kept beside the pool: the sum of its moves and their count, a candidate each."""
        return 2 * self.candidates

    def choices(self, replica: Replica, context: RoundContext, slot: int) -> npt.NDArray[np.int64]:
        """Draw which candidates a client's steps take: (local_steps, S) positions."""
        edges = np.cumsum(self.probabilities(replica))
        uniforms = random_uniform(
            context.run_seed,
            Purpose.CANDIDATE_SEEDS,
            self.local_steps * self.directions,
            a=context.round_index,
            b=slot,
        )
        drawn = np.searchsorted(edges, uniforms * edges[-1], side="right")
        chosen: npt.NDArray[np.int64] = drawn.reshape(self.local_steps, self.directions)
        return chosen

    def probabilities(self, replica: Replica) -> npt.NDArray[np.float64]:
        """Compute each candidate's probability, (K,); equal ones before the first round."""
        sums, counts = self._history(replica)
        means = sums / np.maximum(counts, 1.0)
        span = float(np.ptp(means))
        scaled = np.exp((means - means.min()) / span) if span > 0 else np.ones(self.candidates)
        chances: npt.NDArray[np.float64] = scaled / scaled.sum()
        return chances

    def history_after(
        self, replica: Replica, pool: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Add a pool's moves to the history."""
        moves = np.abs(pool - self.pool(replica))
        sums, counts = self._history(replica)
        return np.concatenate([sums + moves, counts + (moves > 0)]).astype(np.float32)

    def _history(self, replica: Replica) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        state = self.state(replica)
        if state is None:
            return np.zeros(self.candidates), np.zeros(self.candidates)
        sums, counts = np.split(gather([state.history]).astype(np.float64), 2)
        return sums, counts


def fedkseed_pro(config: TrainConfig, options: FedKSeedOptions, high: tuple[int, ...]) -> Algorithm:
    """FedKSeed-Pro from scratch: candidates that moved the model are drawn more often."""
    method = FedKSeedPro(**local_step_fields(config, options), candidates=options.candidates)
    return from_scratch(method, config)
