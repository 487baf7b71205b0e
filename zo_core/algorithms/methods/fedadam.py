"""FedAdam (Reddi et al., "Adaptive Federated Optimization", ICLR 2021, arXiv 2003.00295): the
server takes the clients' mean change for a gradient and steps by Adam, in either phase (the paper's
Table 4).

Adam is torch's, which corrects both moments for their start at zero; Reddi et al. do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.methods.fedavg import FedAvg, LocalSGDOptions, local_sgd_fields
from zo_core.algorithms.steps.adam import (
    AdamState,
    adam_pass,
    adam_step,
    empty_state,
    moments_after,
)
from zo_core.algorithms.steps.phases import one_phase, two_phases
from zo_core.algorithms.steps.zeroth_order import (
    WeightedOptions,
    ZerothOrderStep,
    zeroth_order_fields,
)
from zo_core.config import TrainConfig
from zo_core.cost_model import FLOAT_BYTES
from zo_core.fixed_point import fixed_point
from zo_core.kernels.resumable_pass import uninterrupted
from zo_core.method import Algorithm, RoundContext
from zo_core.optimizer import ReplayReport
from zo_core.options import rate
from zo_core.replica import Replica
from zo_core.spsa import radius
from zo_core.weight_grid import Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAdam(FedAvg):
    """Local SGD on each client; w += Adam(sum n_k w_k / n - w) at the server, which holds m and v.

    ``server_lr`` is Adam's rate.  Buffers take over the mean.
    """

    adam_eps: float
    name: str = "fedadam"

    def stepped(
        self, replica: Replica, before: npt.NDArray[np.float32], mean: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float32]:
        """Step by Adam along the pseudo-gradient; count the step in the server's state."""
        size = replica.params.num_elements
        state = AdamState.of(replica.server_state, size)
        if state is None:
            state = AdamState(*(np.zeros(n, dtype=np.float32) for n in (size, size, 1)))
        replica.server_state = state
        downhill = (mean - before)[:size].astype(np.float32)
        m, v = moments_after(state.m, state.v, downhill)
        state.m[...], state.v[...] = m, v
        state.steps[0] += 1
        steps = int(state.steps[0])
        after = mean.astype(np.float32)
        after[:size] = before[:size] + adam_step(
            m, v, steps=steps, lr=self.server_lr, eps=self.adam_eps
        )
        return after


@dataclass(frozen=True, slots=True, kw_only=True)
class ZerothOrderAdam(ZerothOrderStep):
    """ZOWarmUp's phase two with Adam in place of the plain step: rule 11 of ``zo-grid/1``.

    ``lr`` is the client's rate, of its local steps; with one of them its scale matters to
    ``adam_eps`` alone.  The moments start at the pivot and every replica holds them.
    """

    adam_lr: float
    adam_eps: float
    name: str = "zeroth-order-adam"

    def client_state_bytes(self, replica: Replica) -> int:
        """Bytes that a client keeps beside the model: both moments and the count of steps."""
        return FLOAT_BYTES * (2 * replica.params.num_elements + 1)

    def move_(
        self,
        replica: Replica,
        context: RoundContext,
        updates: Sequence[tuple[int, float]],
        weights: Sequence[float],
    ) -> ReplayReport:
        """Take one step of Adam along the round's list."""
        c = self.coefficients(
            [difference for _, difference in updates],
            radius(self.epsilon, self.tau, replica.grid),
            weights,
        )
        state = AdamState.of(replica.shared_state, replica.params.num_elements)
        state = empty_state(replica.params) if state is None else state
        step = adam_pass(
            replica.params,
            state,
            fixed_point([seed for seed, _ in updates], c),
            cast(Grid, replica.grid),
            lr=self.adam_lr,
            eps=self.adam_eps,
        )

        def take() -> ReplayReport:
            """Keep the state with the step: one that fails to start changes nothing."""
            report = step()
            replica.shared_state = state
            return report

        return uninterrupted(take)


@dataclass(frozen=True, kw_only=True)
class FedAdamOptions(LocalSGDOptions):
    """FedAdam"""

    adam_lr: float = rate(0.01, "learning rate of the server's Adam in rounds of local training")
    # Reddi et al. 2021; the paper names none
    adam_eps: float = rate(1e-3, "term added to the square root of Adam's second moment")


@dataclass(frozen=True, kw_only=True)
class ZOWarmUpFedAdamOptions(FedAdamOptions, WeightedOptions):
    """ZOWarmUp with FedAdam"""

    zo_adam_lr: float = rate(0.001, "learning rate of Adam in zeroth-order rounds")


def fedadam_method(config: TrainConfig, options: FedAdamOptions) -> FedAdam:
    """Build the method of phase one that a config describes."""
    fields = local_sgd_fields(config, options)
    return FedAdam(**fields, server_lr=options.adam_lr, adam_eps=options.adam_eps)


def high_res_only_fedadam(
    config: TrainConfig, options: FedAdamOptions, high: tuple[int, ...]
) -> Algorithm:
    """High-Res-Only with Adam at the server: Table 4's baseline."""
    return one_phase(fedadam_method(config, options), config, high)


def zowarmup_fedadam(
    config: TrainConfig, options: ZOWarmUpFedAdamOptions, high: tuple[int, ...]
) -> Algorithm:
    """ZOWarmUp with Adam at the server, then on every replica."""
    zeroth_order = ZerothOrderAdam(
        **zeroth_order_fields(config, options),
        adam_lr=options.zo_adam_lr,
        adam_eps=options.adam_eps,
    )
    return two_phases(fedadam_method(config, options), zeroth_order, config, high)
