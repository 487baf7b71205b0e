"""FedKSeed (Qin et al., "Federated Full-Parameter Tuning of Billion-Sized Language Models with
Communication Cost under 18 Kilobytes", ICML 2024, arXiv 2312.06353): steps along K candidate
directions only, so that the model of any round is w0 and a pool of K scalars.

Local step: g = mean_s dL_s / (2 rho) z_s over S candidates drawn for it, w -= lr g.  A client sends
the sum of its scalars for each candidate; the pool takes their sample-weighted mean; then
w = w0 - lr sum_j pool_j z_j by one replay.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import cast

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.baselines.seed_pool import PoolState, pool_of, rebuild_
from zo_core.algorithms.methods.fedavg import FedAvgOptions, fedavg_method
from zo_core.algorithms.steps.phases import from_scratch, two_phases
from zo_core.algorithms.steps.zo_client import (
    LocalStepOptions,
    ServerRateOptions,
    ZerothOrderClient,
    local_step_fields,
)
from zo_core.config import TrainConfig
from zo_core.cost_model import FLOAT_BYTES
from zo_core.fixed_point import FixedPointUpdate, fixed_point
from zo_core.method import Algorithm, ApplyReport, ClientData, RoundContext
from zo_core.options import count
from zo_core.payloads.core import MAX_CANDIDATES, Payload, SeedPool
from zo_core.philox import Purpose, random_words
from zo_core.replica import Replica
from zo_core.weight_grid import Grid

_CANDIDATES = 0xFFFFFFFF  # counter words of the candidates, which no round and slot has


@dataclass(frozen=True, slots=True, kw_only=True)
class FedKSeed(ZerothOrderClient):
    """Local zeroth-order steps along candidates; one pool of scalars for everyone."""

    candidates: int  # K
    name: str = "fedkseed"
    result_to_everyone: bool = True
    sends_weights: bool = False
    trains_locally: bool = False
    needs_hand_over: bool = True
    needs_grid: bool = True

    def client_update(self, replica: Replica, client: ClientData, context: RoundContext) -> Payload:
        """Step locally, take the steps back, and return the scalars summed by candidate."""
        grid = cast(Grid, replica.grid)
        candidates = self.candidate_seeds(context)
        chosen = self.choices(replica, context, client.slot)
        differences = self.walk(
            replica, client, context, lambda step: [candidates[index] for index in chosen[step]]
        )
        scale = 2.0 * grid.radius(self.epsilon, self.tau) * self.directions
        pool = np.zeros(self.candidates)
        np.add.at(pool, chosen, differences.astype(np.float64) / scale)
        return SeedPool(
            run_id=context.run_id,
            round_index=context.round_index,
            slot=client.slot,
            samples=len(client.x),
            digest=replica.digest_prefix(),
            scalars=pool.astype(np.float32),
        )

    def server_result(
        self, replica: Replica, updates: Iterable[Payload], context: RoundContext
    ) -> tuple[Payload, ApplyReport]:
        """Add the sample-weighted mean of the clients' scalars to the pool; rebuild the weights.

        Raises:
            ForkError: an update was computed on other weights than the server's.
            ValueError: an update is of another round, cohort or number of candidates.
            GridError: the weights would leave the grid; they are those before the round.
        """
        total, samples = np.zeros(self.candidates), 0
        for payload in updates:
            update = self._checked(payload, replica, context)
            total += update.samples * update.scalars.astype(np.float64)
            samples += update.samples
        pool = self.pool(replica)
        after = (pool + total / samples).astype(np.float32) if samples else pool
        report = self._rebuild_(replica, after, context)
        result = SeedPool(
            run_id=context.run_id,
            round_index=context.round_index,
            slot=0,
            samples=0,
            digest=replica.digest_prefix(),
            scalars=after,
        )
        return result, report

    def apply_(self, replica: Replica, result: Payload, context: RoundContext) -> ApplyReport:
        """Rebuild the weights from w0 by a result's pool and check their digest.

        Raises:
            ForkError: these weights are not the server's; resynchronise.
        """
        message = cast(SeedPool, result)
        report = self._rebuild_(replica, message.scalars, context)
        replica.require_digest(message.digest)
        return report

    def candidate_seeds(self, context: RoundContext) -> tuple[int, ...]:
        """Derive the run's K candidate seeds."""
        return _candidate_seeds(context.run_seed, self.candidates)

    def client_state_bytes(self, replica: Replica) -> int:
        """Bytes that a client keeps beside the model: w0, the pool, its history."""
        numbers = replica.params.num_elements + self.candidates + self.history_size
        return FLOAT_BYTES * numbers

    @property
    def history_size(self) -> int:
        """Numbers that every replica keeps beside the pool."""
        return 0

    def state(self, replica: Replica) -> PoolState | None:
        """Read what a replica keeps; None before the first round."""
        return PoolState.of(replica, self.candidates, self.history_size)

    def pool(self, replica: Replica) -> npt.NDArray[np.float32]:
        """Return the pool that a replica's weights come from, (K,)."""
        return pool_of(self.state(replica), self.candidates)

    def choices(self, replica: Replica, context: RoundContext, slot: int) -> npt.NDArray[np.int64]:
        """Draw which candidates a client's steps take: (local_steps, S) positions."""
        words = random_words(
            context.run_seed,
            Purpose.CANDIDATE_SEEDS,
            self.local_steps * self.directions,
            a=context.round_index,
            b=slot,
        ).astype(np.uint64)
        indices = (words * np.uint64(self.candidates)) >> np.uint64(32)
        return indices.astype(np.int64).reshape(self.local_steps, self.directions)

    def _rebuild_(
        self, replica: Replica, pool: npt.NDArray[np.float32], context: RoundContext
    ) -> ApplyReport:
        if np.array_equal(pool, self.pool(replica)):
            return ApplyReport()
        history = self.history_after(replica, pool)
        report = rebuild_(replica, pool, partial(self.update_of, context), history=history)
        return ApplyReport(zero_share=report.zero_share, widened=report.widened)

    def history_after(
        self, replica: Replica, pool: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Compute what is kept with a new pool, (history_size,)."""
        return np.empty(0, np.float32)

    def update_of(self, context: RoundContext, pool: npt.NDArray[np.float32]) -> FixedPointUpdate:
        """Turn a pool into the list that leads from w0 to its weights."""
        # the pool's numbers are slopes already: rho = 1/2 makes dL / (2 rho) of them themselves
        c = self.coefficients(pool.astype(np.float64).tolist(), 0.5, [1.0] * self.candidates)
        return fixed_point(self.candidate_seeds(context), c)

    def _checked(self, payload: Payload, replica: Replica, context: RoundContext) -> SeedPool:
        update = cast(SeedPool, payload)
        count = update.scalars.size
        context.require_expected(update, slot=update.slot, count=count, expected=self.candidates)
        replica.check_same_weights(update.slot, update.digest)
        return update


@lru_cache(maxsize=1)  # the same for all clients and rounds of a run
def _candidate_seeds(run_seed: int, candidates: int) -> tuple[int, ...]:
    words = random_words(
        run_seed, Purpose.CANDIDATE_SEEDS, 2 * candidates, a=_CANDIDATES, b=_CANDIDATES
    ).astype(np.uint64)
    return tuple((words[0::2] | words[1::2] << np.uint64(32)).tolist())


@dataclass(frozen=True, kw_only=True)
class FedKSeedOptions(LocalStepOptions, ServerRateOptions):
    """FedKSeed"""

    # its authors' LLM runs
    candidates: int = count(1024, "number of candidate directions, K", most=MAX_CANDIDATES)


@dataclass(frozen=True, kw_only=True)
class ZOWarmUpFedKSeedOptions(FedAvgOptions, FedKSeedOptions):
    """ZOWarmUp with FedKSeed"""


def fedkseed_method(config: TrainConfig, options: FedKSeedOptions) -> FedKSeed:
    """Build the method that a config describes."""
    return FedKSeed(**local_step_fields(config, options), candidates=options.candidates)


def fedkseed(config: TrainConfig, options: FedKSeedOptions, high: tuple[int, ...]) -> Algorithm:
    """FedKSeed from scratch: K candidate directions, local steps, one pool of scalars."""
    return from_scratch(fedkseed_method(config, options), config)


def zowarmup_fedkseed(
    config: TrainConfig, options: ZOWarmUpFedKSeedOptions, high: tuple[int, ...]
) -> Algorithm:
    """ZOWarmUp with FedKSeed as its phase two; the paper takes a single local step."""
    pool = fedkseed_method(config, options)
    return two_phases(fedavg_method(config, options), pool, config, high)
