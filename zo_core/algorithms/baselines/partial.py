"""First-order training of a part of the network: after a warm-up of the whole of it, everyone goes
on with the last layers, or with biases and norms, and sends those alone.

With a pivot of 0 the part is trained from the initial weights on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zo_core.algorithms.methods.fedavg import (
    FedAvg,
    FedAvgOptions,
    fedavg_method,
    local_sgd_fields,
)
from zo_core.algorithms.steps.phases import two_phases
from zo_core.config import TrainConfig
from zo_core.first_order.trainable_part import (
    BIAS_NORM,
    freeze_others,
    is_part,
    trained_tensors,
    view_of,
)
from zo_core.method import Algorithm, ClientData, RoundContext
from zo_core.options import text
from zo_core.replica import Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialFedAvg(FedAvg):
    """FedAvg of some tensors; messages hold nothing else.

    Training is in evaluation mode: whoever has the frozen rest has its running statistics too.
    """

    trained: str  # a part's name, see zo_core.first_order.trainable_part
    name: str = "partial"
    result_to_everyone: bool = True
    needs_hand_over: bool = True

    def state(self, replica: Replica) -> Sequence[Any]:
        """List the tensors of the part."""
        return view_of(replica, trained_tensors(replica.module, self.trained)).params.arrays

    def train_(self, replica: Replica, client: ClientData, context: RoundContext) -> None:
        """Take some epochs of SGD over the shard, on the part alone."""
        module = replica.module
        with freeze_others(module, trained_tensors(module, self.trained)):
            self.train_module_(
                module, client, context, self.criterion or replica.criterion, training_mode=False
            )


@dataclass(frozen=True, kw_only=True)
class PartialOptions(FedAvgOptions):
    """Partial backprop"""

    trained: str = text(  # ours
        "last-1",
        "part that is trained by backprop after the pivot: last-N (layers) or bias-norm",
        rule=f"must be {BIAS_NORM} or last-N with N >= 1",
        allows=is_part,
    )


def partial_method(config: TrainConfig, options: PartialOptions) -> PartialFedAvg:
    """Build the method that a config describes."""
    return PartialFedAvg(
        **local_sgd_fields(config, options), server_lr=options.server_lr, trained=options.trained
    )


def warmup_partial(
    config: TrainConfig, options: PartialOptions, high: tuple[int, ...]
) -> Algorithm:
    """FedAvg until the pivot, then FedAvg of a part of the network by everyone."""
    part = partial_method(config, options)
    return two_phases(fedavg_method(config, options), part, config, high)
