"""Deep Gradient Compression (Lin, Han, Mao, Wang, Dally, "Deep Gradient Compression: Reducing the
Communication Bandwidth for Distributed Training", ICLR 2018, arXiv 1712.01887): a client sends the
largest of what it has gathered, and gathers momentum in place of gradients.

With g the client's clipped change of a round, u and v what it keeps, per tensor:

    u = m u + g;  v = v + u;  send v where it is largest in magnitude;  there, v = u = 0

The paper exchanges the gradient of every step, between workers that all take part in each.  Here a
round's change stands for a step's gradient: with one epoch of one batch it is that gradient times
the client's rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np

from zo_core.algorithms.baselines.change_averaging import (
    ChangeAveraging,
    largest_of_tensors,
    require_size,
)
from zo_core.algorithms.methods.fedavg import FedAvgOptions, local_sgd_fields
from zo_core.algorithms.steps.phases import one_phase
from zo_core.config import TrainConfig
from zo_core.cost_model import FLOAT_BYTES
from zo_core.method import Algorithm, RoundContext
from zo_core.options import count, rate, share
from zo_core.payloads.core import DenseWeights, Payload, SparseChange
from zo_core.payloads.fields import Floats
from zo_core.replica import Replica
from zo_core.state import MethodState, state_as


@dataclass(frozen=True)
class Gathered(MethodState):
    """What a client has not sent yet, and its momentum."""

    momentum: Floats  # u, (P,)
    velocity: Floats  # v, (P,)


@dataclass(frozen=True, slots=True, kw_only=True)
class DGC(ChangeAveraging):
    """Momentum correction, local clipping, momentum factor masking, a warm-up of the sparsity."""

    momentum: float
    clip_norm: float
    sparsity: float  # after the warm-up
    warmup_rounds: int
    name: str = "dgc"

    def encoded_(
        self, replica: Replica, change: Floats, trained: DenseWeights, context: RoundContext
    ) -> SparseChange:
        """Send the largest of each tensor that the client has gathered."""
        size, slot = change.size, trained.slot
        kept = state_as(Gathered, replica.client_states.get(slot), (size, size))
        before = kept or Gathered(np.zeros(size, np.float32), np.zeros(size, np.float32))
        momentum = np.float32(self.momentum) * before.momentum + self.clipped(change, context)
        velocity = before.velocity + momentum
        share = self.sent_share(context.round_index)
        positions = largest_of_tensors(velocity, replica.params.sizes, share)
        values = velocity[positions]
        momentum[positions] = velocity[positions] = 0.0
        replica.client_states[slot] = Gathered(momentum, velocity)
        return SparseChange(
            run_id=trained.run_id,
            round_index=trained.round_index,
            slot=slot,
            samples=trained.samples,
            count=size,
            positions=positions.astype(np.uint32),
            values=values,
            buffers=trained.values[size:],
        )

    def clipped(self, change: Floats, context: RoundContext) -> Floats:
        """Scale a change down to the norm that is allowed for one of N clients: limit / sqrt(N)."""
        limit = self.clip_norm / math.sqrt(len(context.cohort))
        norm = float(np.linalg.norm(change))
        return change if norm <= limit else change * np.float32(limit / norm)

    def sent_share(self, round_index: int) -> float:
        """Share of a tensor's elements that a round sends.

        It falls by one factor per round of the warm-up: from 25 % to 0.4 % over four of them, where
        the sparsity after it is 99.9 %.
        """
        sent = 1.0 - self.sparsity
        if round_index >= self.warmup_rounds:
            return sent
        return float(sent ** ((round_index + 1) / (self.warmup_rounds + 1)))

    def change_of(self, replica: Replica, update: Payload) -> Floats:
        """Put what was sent into zeros, (P,)."""
        sparse = cast(SparseChange, update)
        require_size(sparse.count, replica)
        change = np.zeros(sparse.count, np.float32)
        change[sparse.positions] = sparse.values
        return change

    def client_state_bytes(self, replica: Replica) -> int:
        """Bytes that a client keeps between rounds: what it has gathered, and momentum."""
        return 2 * FLOAT_BYTES * replica.params.num_elements


@dataclass(frozen=True, kw_only=True)
class DGCOptions(FedAvgOptions):
    """DGC"""

    dgc_momentum: float = share(0.9, "momentum of a client's changes", zero=True)  # usual; ours
    # ours; the paper clips recurrent networks alone, at norms of their own
    dgc_clip_norm: float = rate(4.0, "largest norm of all clients' changes of a round together")
    dgc_sparsity: float = share(0.999, "share of a tensor that is not sent, in the end")  # paper
    dgc_warmup: int = count(20, "rounds in which the sparsity rises", least=0)  # paper: 4 epochs


def dgc(config: TrainConfig, options: DGCOptions, high: tuple[int, ...]) -> Algorithm:
    """DGC: clients send 0.1 % of a change that carries momentum, and keep what they do not send."""
    method = DGC(
        **local_sgd_fields(config, options),
        server_lr=options.server_lr,
        momentum=options.dgc_momentum,
        clip_norm=options.dgc_clip_norm,
        sparsity=options.dgc_sparsity,
        warmup_rounds=options.dgc_warmup,
    )
    return one_phase(method, config, tuple(range(config.clients)))
