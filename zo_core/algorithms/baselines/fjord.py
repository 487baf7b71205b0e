"""FjORD (Horváth et al., "FjORD: Fair and Accurate Federated Learning under heterogeneous targets
with Ordered Dropout", NeurIPS 2021, arXiv 2102.13451): each local step trains the first channels
alone, at a width drawn for it, so that every prefix of the network is a network.

A client holds the widest network that its resources admit, as in HeteroFL, and each weight becomes
the mean over who holds it.  Widths are 1/4, 1/2 and 1, uniform over those that the client has; the
paper's self-distillation is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from zo_core.algorithms.baselines.heterofl import HeteroFL, NarrowOptions, by_budget
from zo_core.algorithms.methods.fedavg import FedAvg, local_sgd_fields
from zo_core.config import TrainConfig
from zo_core.first_order.sgd import SGDStep
from zo_core.loss.module_loss import Criterion, cross_entropy
from zo_core.method import Algorithm, ClientData, RoundContext
from zo_core.philox import Purpose, random_uniform

if TYPE_CHECKING:
    import torch
    from torch import nn

WIDTHS = (0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FjORD(HeteroFL):
    """Ordered dropout on nested sub-networks; w_i = mean of w_ki over the clients k that hold i."""

    masked: bool = False
    scaled: bool = False
    name: str = "fjord"

    def sgd_step(self, client: ClientData, context: RoundContext) -> SGDStep:
        """Take each step at a width of its own."""
        own = self.width(client.slot)
        shares = [width / own for width in WIDTHS if width <= own]
        steps = self.local_epochs * -(-len(client.x) // self.batch_size)
        drawn = random_uniform(
            context.run_seed, Purpose.WIDTH, steps, a=context.round_index, b=client.slot
        )
        widths = iter([shares[int(i)] for i in np.floor(drawn * len(shares))])
        return partial(
            ordered_dropout_step_, step=FedAvg.sgd_step(self, client, context), widths=widths
        )


def ordered_dropout_step_(
    module: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    lr: float,
    step: SGDStep,
    widths: Iterator[float],
    criterion: Criterion = cross_entropy,
) -> None:
    """Take a first-order step of a network's prefix in place.

    Args:
        module: what :func:`zo_core.models.narrow.narrowed` takes; the rest of it stays.
        x: inputs, (items, ...).
        y: targets, (items, ...).
        lr: learning rate.
        step: takes the step of the sub-network.
        widths: gives the share of the channels that this step trains, in (0, 1].
        criterion: gives the loss of each item.
    """
    import torch

    from zo_core.models.narrow import narrowed, prefix

    width = next(widths)
    if width == 1.0:
        step(module, x, y, lr=lr, criterion=criterion)
        return
    narrow = narrowed(module, width, scaled=False)
    step(narrow, x, y, lr=lr, criterion=criterion)
    with torch.no_grad():
        for whole, part in zip(module.parameters(), narrow.parameters(), strict=True):
            whole[prefix(tuple(part.shape))] = part


def fjord(config: TrainConfig, options: NarrowOptions, high: tuple[int, ...]) -> Algorithm:
    """FjORD: each step trains the first channels only, at a width drawn for it.

    Raises:
        ValueError: the model cannot be narrowed.
    """
    method = FjORD(**local_sgd_fields(config, options), server_lr=options.server_lr, high=high)
    return by_budget(method, config, options, usual="rounds")
