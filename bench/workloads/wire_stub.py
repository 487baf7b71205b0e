"""Clients and rounds whose loss costs nothing, so that only the network is measured."""

from __future__ import annotations

import numpy as np

from zo_core.algorithms import train_config
from zo_core.federation.mqtt.link import Topics
from zo_core.federation.protocol.plan import Plan
from zo_core.federation.protocol.serving import fresh_id
from zo_core.method import RoundContext
from zo_core.payloads.core import DenseWeights, Payload, ScalarUpdate
from zo_core.replica import Replica

PATIENCE_S = 20.0  # to wait for the broker
_SAMPLES = 8
TOPICS = Topics("zo")


class StubTrainer:
    """Answers at once: the zero scalars of a constant loss, or the weights that came.

    Args:
        weights: of the model.
    """

    def __init__(self, weights: int) -> None:
        self._weights = weights

    def join(self, plan: Plan, slot: int) -> Replica:
        """Make the model."""
        self._plan, self._slot = plan, slot
        self.replica = stub_replica(self._weights)
        return self.replica

    def update(self, context: RoundContext) -> Payload:
        """Answer a round."""
        if self._plan.is_dense(context.round_index):
            return DenseWeights(
                run_id=context.run_id,
                round_index=context.round_index,
                slot=self._slot,
                samples=self._plan.least_samples,
                values=self.replica.values(),
            )
        return ScalarUpdate(
            run_id=context.run_id,
            round_index=context.round_index,
            slot=self._slot,
            digest=self.replica.digest_prefix(),
            differences=np.zeros(self._plan.scalars, np.float32),
        )


def stub_replica(weights: int) -> Replica:
    """Make a replica of so many weights."""
    return Replica([np.full(weights, 0.5, np.float32)])


def stub_plan(method: str, *, clients: int, cohort: int, rounds: int) -> Plan:
    """Make a plan of stub rounds, "zo" or "fedavg"."""
    config = train_config(
        algorithm="mezo" if method == "zo" else "fedavg",
        clients=clients,
        high_share=0.5,
        rounds=rounds,
        pivot=0,
        warmup_cohort=cohort,
        zo_cohort=cohort,
        **({"epsilon": 1e-3} if method == "zo" else {}),
    )
    return Plan(config, run_id=fresh_id(), samples=_SAMPLES)
