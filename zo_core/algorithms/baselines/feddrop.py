"""FedDrop (Wen, Jeon, Huang, "Federated Dropout: A Simple Approach for Enabling Federated Learning
on Resource Constrained Devices", IEEE Wireless Communications Letters 11(5), 2022, arXiv
2109.15258; the idea is Caldas et al.'s, arXiv 1812.07210): each round a low-resource client trains
a random part of every hidden layer's units, and each weight becomes the mean over who trained it.

The parts are drawn from the run's seed, so that only their weights cross the link.  Layers of as
many channels drop the same ones, which keeps residual sums whole; where a norm groups channels,
whole groups are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.baselines.heterofl import HeteroFL, Places
from zo_core.algorithms.methods.fedavg import FedAvgOptions, local_sgd_fields
from zo_core.algorithms.steps.phases import one_phase
from zo_core.config import TrainConfig
from zo_core.method import Algorithm
from zo_core.options import share
from zo_core.philox import Purpose, random_permutation
from zo_core.replica import Replica, gather, scatter_

if TYPE_CHECKING:
    from torch import nn

    from zo_core.models.narrow import NarrowTensor

Units = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FedDrop(HeteroFL):
    """Local SGD on random sub-networks; w_i = mean of w_ki over the clients k that train i."""

    run_seed: int
    masked: bool = False
    scaled: bool = False
    name: str = "feddrop"

    def sub_network(self, replica: Replica, slot: int, round_index: int) -> nn.Module:
        """Copy the units that a client trains in a round, as a network that scales as dropout does.

        A layer's inputs are divided by the share that was kept of them.
        """
        from zo_core.models.narrow import narrowed

        width = self.width(slot)
        module = narrowed(replica.module, width, scaled=False)
        whole = gather(replica.params.arrays)
        values = [whole[places].reshape(-1) for _, places in self.held(replica, slot, round_index)]
        trainable = [p.detach() for p in module.parameters() if p.requires_grad]
        scatter_(trainable, np.concatenate(values))
        for layer in self.scaled_layers(module):
            layer.register_forward_pre_hook(lambda _, inputs: (inputs[0] / width,))
        return module

    def scaled_layers(self, module: nn.Module) -> list[nn.Conv2d | nn.Linear]:
        """List the layers whose inputs are divided by the width: all but the first."""
        return layers_of(module)[1:]

    def held(
        self, replica: Replica, slot: int, round_index: int
    ) -> Iterator[tuple[NarrowTensor, Places]]:
        """Find the weights between the units that a client keeps in a round."""
        return self.places(replica, lambda blocks: self.kept_blocks(blocks, slot, round_index))

    def places(
        self, replica: Replica, choose: Callable[[int], Units]
    ) -> Iterator[tuple[NarrowTensor, Places]]:
        """Find the weights between chosen units.

        Args:
            replica: its module is looked at.
            choose: gives the blocks of channels that are kept of a number of blocks.
        """
        chosen = kept_units(replica.module, choose)
        for (tensor, whole), (rows, columns) in zip(self._tensors(replica), chosen, strict=True):
            part = whole if rows is None else whole[rows]
            yield tensor, part if columns is None else part[:, columns]

    def kept_blocks(self, blocks: int, slot: int, round_index: int) -> Units:
        """Draw which of a layer's blocks of channels a client keeps in a round, ascending."""
        order = random_permutation(self.run_seed, Purpose.WIDTH, blocks, a=round_index, b=slot)
        return np.sort(order[: int(self.width(slot) * blocks)])


def layers_of(module: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    """List convolutions and linear layers."""
    from torch import nn

    return [layer for layer in module.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


def kept_units(
    module: nn.Module, choose: Callable[[int], Units]
) -> Iterator[tuple[Units | None, Units | None]]:
    """Yield what is kept of each trainable tensor: rows and columns; None for all.

    Args:
        module: what :func:`zo_core.models.narrow.narrow_tensors` takes.
        choose: gives the blocks kept of a number of blocks.
    """
    from torch import nn

    layers, groups = layers_of(module), _group_sizes(module)
    channels: dict[int, Units] = {}
    for hidden in layers[:-1]:
        outputs = len(hidden.weight)
        size = groups.get(outputs, 1)
        blocks = choose(outputs // size)
        channels[outputs] = (blocks[:, None] * size + np.arange(size)).reshape(-1)
    kept: dict[int, tuple[Units | None, Units | None]] = {}
    before = 0
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            outputs, inputs = layer.weight.shape[:2]
            rows = None if layer is layers[-1] else channels[outputs]
            columns = None if layer is layers[0] else _inputs(channels, inputs, before)
            kept |= {id(layer.weight): (rows, columns), id(layer.bias): (rows, None)}
            before = outputs
        elif isinstance(layer, (nn.GroupNorm, nn.BatchNorm2d)):
            rows = channels[layer.weight.numel()]
            kept |= {id(layer.weight): (rows, None), id(layer.bias): (rows, None)}
    for parameter in module.parameters():
        if parameter.requires_grad:
            yield kept.get(id(parameter), (None, None))


def _inputs(channels: dict[int, Units], inputs: int, before: int) -> Units:
    """Return the columns kept: of as many channels, or of each channel's pixels where flattened."""
    if inputs in channels:
        return channels[inputs]
    pixels = inputs // before
    return (channels[before][:, None] * pixels + np.arange(pixels)).reshape(-1)


def _group_sizes(module: nn.Module) -> dict[int, int]:
    """Channels in a group, by the number of channels."""
    from torch import nn

    norms = [layer for layer in module.modules() if isinstance(layer, nn.GroupNorm)]
    return {norm.num_channels: norm.num_channels // norm.num_groups for norm in norms}


@dataclass(frozen=True, kw_only=True)
class FedDropOptions(FedAvgOptions):
    """FedDrop"""

    # HeteroFL's, so that both train as many weights
    drop_share: float = share(0.5, "share of units that a low-resource client drops in a round")


def feddrop(config: TrainConfig, options: FedDropOptions, high: tuple[int, ...]) -> Algorithm:
    """FedDrop: low-resource clients train a random half of the units, drawn again each round.

    Raises:
        ValueError: the model cannot be narrowed.
    """
    method = FedDrop(
        **local_sgd_fields(config, options),
        server_lr=options.server_lr,
        high=high,
        low_width=1.0 - options.drop_share,
        run_seed=config.run_seed,
    )
    schedule = one_phase(method, config, tuple(range(config.clients)))
    return replace(schedule, statistics_batch=options.batch_size)
