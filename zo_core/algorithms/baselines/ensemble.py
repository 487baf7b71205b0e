"""Simple ensembling (Cheng, Charles, Garrett, Rush, "Does Federated Dropout Actually Work?",
CVPR Workshop on Federated Learning for Computer Vision, 2022): several narrow networks are trained
apart by FedAvg, each by the clients that draw it, and predict together.

The members live in one network of the usual width: each has its own part of every layer's units,
weights between members are 0, and the last layer adds what they say.  So the server's model is as
large as the other methods', and its outputs are the mean of its members'.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.baselines.feddrop import FedDrop, Units, layers_of
from zo_core.algorithms.baselines.heterofl import HeteroFL
from zo_core.algorithms.methods.fedavg import FedAvgOptions, local_sgd_fields
from zo_core.algorithms.steps.phases import one_phase
from zo_core.config import TrainConfig
from zo_core.method import Algorithm
from zo_core.options import count
from zo_core.philox import Purpose, random_uniform
from zo_core.replica import Replica

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble(FedDrop):
    """Local SGD on one member a client; each member's weights are the mean over its clients.

    All members share the last layer's bias, which every client trains.
    """

    members: int
    name: str = "ensemble"

    def scaled_layers(self, module: nn.Module) -> list[nn.Conv2d | nn.Linear]:
        """List the layer whose inputs are divided by the width: a member speaks for all."""
        return layers_of(module)[1:][-1:]

    def kept_blocks(self, blocks: int, slot: int, round_index: int) -> Units:
        """List the blocks of the member that a client trains in a round."""
        return self.blocks_of(self.member(slot, round_index), blocks)

    def blocks_of(self, member: int, blocks: int) -> Units:
        """List a member's blocks of a layer's channels."""
        size = blocks // self.members
        return np.arange(member * size, (member + 1) * size)

    def member(self, slot: int, round_index: int) -> int:
        """Draw the member that a client trains in a round."""
        (drawn,) = random_uniform(self.run_seed, Purpose.WIDTH, 1, a=round_index, b=slot)
        return int(drawn * self.members)

    def stepped(
        self, replica: Replica, before: npt.NDArray[np.float32], mean: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float32]:
        """Step the members' weights; those between members are 0."""
        after = HeteroFL.stepped(self, replica, before, mean)
        between = np.ones(after.size, np.bool_)
        for member in range(self.members):
            for _, places in self.places(replica, partial(self.blocks_of, member)):
                between[places.reshape(-1)] = False
        after[between] = 0.0
        return after


@dataclass(frozen=True, kw_only=True)
class EnsembleOptions(FedAvgOptions):
    """Simple ensembling"""

    members: int = count(2, "networks that predict together, each 1/members as wide", least=2)


def ensemble(config: TrainConfig, options: EnsembleOptions, high: tuple[int, ...]) -> Algorithm:
    """Simple ensembling: every client trains one of two networks of half the width.

    Raises:
        ValueError: the model cannot be narrowed.
    """
    method = Ensemble(
        **local_sgd_fields(config, options),
        server_lr=options.server_lr,
        high=(),
        low_width=1.0 / options.members,
        run_seed=config.run_seed,
        members=options.members,
    )
    schedule = one_phase(method, config, tuple(range(config.clients)))
    return replace(schedule, statistics_batch=options.batch_size)
