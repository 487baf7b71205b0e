"""HeteroFL (Diao, Ding, Tarokh, "HeteroFL: Computation and Communication Efficient Federated
Learning for Heterogeneous Clients", ICLR 2021, arXiv 2010.01264): low-resource clients train a
nested half of the network's channels, and each weight becomes the mean over who trained it.

The paper (ZOWarmUp, arXiv 2509.03503) runs it at widths 1 and 1/2 under a fixed total of bytes on
the link, and gives no total.  Here it is what FedAvg would spend in the config's rounds with the
same cohorts, so that there are fewer rounds the more clients are high-resource; ``budget`` sets
another total.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.methods.fedavg import FedAvg, FedAvgOptions, local_sgd_fields
from zo_core.algorithms.methods.zowarmup import ZOWarmUpOptions
from zo_core.algorithms.steps.averaging import commit_, require_finite
from zo_core.config import TrainConfig
from zo_core.cost_model import zo_forwards
from zo_core.loss.module_loss import Criterion
from zo_core.loss.outputs import scores_of
from zo_core.method import Algorithm, ApplyReport, ClientData, Phase, RoundContext
from zo_core.options import choice
from zo_core.payloads.core import DenseWeights, Payload, SubModel
from zo_core.replica import Replica, gather

if TYPE_CHECKING:
    import torch
    from torch import nn

    from zo_core.models.narrow import NarrowTensor

Places = npt.NDArray[np.int64]
LOW_WIDTH = 0.5  # of the channels; paper


@dataclass(frozen=True, slots=True, kw_only=True)
class HeteroFL(FedAvg):
    """Local SGD on nested sub-networks; w_i = mean of w_ki over the clients k that train i.

    A label that a client does not have is masked: its output is 0 in the client's loss, and the
    client does not count for the rows of the last layer that give it.  A weight that nobody trained
    stays.  Messages hold weights alone: batch norm is static and has no statistics in training.
    """

    high: tuple[int, ...]  # slots that train at width 1
    low_width: float = LOW_WIDTH
    masked: bool = True
    scaled: bool = True  # norms' inputs divided by the width in training
    name: str = "heterofl"

    def client_update(self, replica: Replica, client: ClientData, context: RoundContext) -> Payload:
        """Train a copy of the client's sub-network and return its weights.

        Raises:
            NonFiniteWeightsError: the training diverged; no message carries such weights.
        """
        module = self.sub_network(replica, client.slot, context.round_index)
        labels = self._labels(replica, client)
        criterion = self.criterion or replica.criterion
        if labels.size:
            criterion = mask_absent(criterion, labels)
        self.train_module_(module, client, context, criterion)
        values = gather([p for p in module.parameters() if p.requires_grad])
        require_finite(values, client.slot)
        return SubModel(
            run_id=context.run_id,
            round_index=context.round_index,
            slot=client.slot,
            labels=labels,
            values=values,
        )

    def server_result(
        self, replica: Replica, updates: Iterable[Payload], context: RoundContext
    ) -> tuple[Payload, ApplyReport]:
        """Fold the sum and the count of each weight, take their means, return the network.

        Raises:
            ValueError: an update is of another round or cohort, or of another width than its
                client's.
        """
        size = replica.params.num_elements
        total, count = np.zeros(size), np.zeros(size, np.int32)
        for payload in updates:
            update = cast(SubModel, payload)
            held = list(self.held(replica, update.slot, context.round_index))
            expected = sum(places.size for _, places in held)
            context.require_expected(
                update, slot=update.slot, count=update.values.size, expected=expected
            )
            self._fold_(total, count, update, held)
        before = gather(replica.params.arrays)
        mean = np.where(count > 0, total / np.maximum(count, 1), before)
        after = self.stepped(replica, before, mean)
        return commit_(replica, replica.params.arrays, after, context), ApplyReport()

    def apply_(self, replica: Replica, result: Payload, context: RoundContext) -> ApplyReport:
        """Take over the server's weights; buffers stay."""
        replica.overwrite_(replica.params.arrays, cast(DenseWeights, result).values)
        return ApplyReport()

    def message_for(self, replica: Replica, result: Payload, slot: int) -> Payload:
        """Cut what the client trains in the next round out of a result."""
        dense = cast(DenseWeights, result)
        held = self.held(replica, slot, dense.round_index + 1)
        return replace(dense, values=np.concatenate([dense.values[p].reshape(-1) for _, p in held]))

    def sub_network(self, replica: Replica, slot: int, round_index: int) -> nn.Module:
        """Copy the network that a client trains in a round."""
        from zo_core.models.narrow import narrowed

        return narrowed(replica.module, self.width(slot), scaled=self.scaled)

    def held(
        self, replica: Replica, slot: int, round_index: int
    ) -> Iterator[tuple[NarrowTensor, Places]]:
        """Find what a client holds of each tensor: places within all weights, of its shape."""
        for tensor, places in self._tensors(replica, self.width(slot)):
            yield tensor, places[tensor.index]

    def _tensors(
        self, replica: Replica, width: float = 1.0
    ) -> Iterator[tuple[NarrowTensor, Places]]:
        """Pair what a width holds of each tensor with the places of the whole tensor."""
        from zo_core.models.narrow import narrow_tensors

        params = replica.params
        places = np.arange(params.num_elements)
        starts = np.cumsum([0, *params.sizes])
        tensors = narrow_tensors(replica.module, width)
        for tensor, array, (start, end) in zip(
            tensors, params.arrays, pairwise(starts), strict=True
        ):
            yield tensor, places[start:end].reshape(array.shape)

    def _fold_(
        self,
        total: npt.NDArray[np.float64],
        count: npt.NDArray[np.int32],
        update: SubModel,
        held: Sequence[tuple[NarrowTensor, Places]],
    ) -> None:
        start = 0
        for tensor, places in held:
            values = update.values[start : start + places.size].reshape(places.shape)
            rows = update.labels if tensor.is_output and update.labels.size else slice(None)
            total[places[rows]] += values[rows]
            count[places[rows]] += 1
            start += places.size

    def width(self, slot: int) -> float:
        """Share of the hidden channels that a client holds."""
        return 1.0 if slot in self.high else self.low_width

    def _labels(self, replica: Replica, client: ClientData) -> npt.NDArray[np.bool_]:
        """Tell which labels a client has, (classes,); nothing where absent ones are not masked."""
        from zo_core.models.narrow import narrow_tensors

        outputs = [t for t in narrow_tensors(replica.module, 1.0) if t.is_output]
        labels = np.zeros(outputs[0].shape[0] if self.masked and outputs else 0, np.bool_)
        if labels.size:
            labels[client.y.unique().cpu().numpy()] = True
        return labels


def mask_absent(criterion: Criterion, labels: npt.NDArray[np.bool_]) -> Criterion:
    """Give a loss that sees 0 in place of the outputs of labels that a client does not have."""

    def loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        import torch

        absent = torch.from_numpy(~labels).to(outputs.device)
        return criterion(scores_of(outputs).masked_fill(absent, 0.0), y)

    return loss


@dataclass(frozen=True, kw_only=True)
class NarrowOptions(FedAvgOptions):
    """Networks of several widths"""

    budget: str = choice(
        "usual",
        ("usual", "passes", "bytes", "rounds"),
        "what sets the number of rounds: FedAvg's bytes (usual for heterofl), the config's rounds "
        "(usual for fjord), or ZOWarmUp's item passes",
    )


def heterofl(config: TrainConfig, options: NarrowOptions, high: tuple[int, ...]) -> Algorithm:
    """HeteroFL: low-resource clients train half of the channels, for FedAvg's total of bytes.

    Raises:
        ValueError: the model cannot be narrowed.
    """
    method = HeteroFL(**local_sgd_fields(config, options), server_lr=options.server_lr, high=high)
    return by_budget(method, config, options, usual="bytes")


def by_budget(
    method: HeteroFL, config: TrainConfig, options: NarrowOptions, *, usual: str
) -> Algorithm:
    """Build a schedule of all clients, with as many rounds as the budget has room for."""
    clients, high = config.clients, len(method.high)
    budget = usual if options.budget == "usual" else options.budget
    rounds = config.rounds
    if budget == "bytes":
        rounds = int(rounds / ((high + (clients - high) * size_share(config.model)) / clients))
    elif budget == "passes":
        rounds = zowarmup_passes(config, options, high) // passes_of(config, options, clients)
    phase = Phase(
        method=method,
        rounds=rounds,
        pool=tuple(range(clients)),
        cohort_size=config.warmup_cohort,
    )
    return Algorithm(phases=(phase,), statistics_batch=options.batch_size)


def passes_of(config: TrainConfig, options: FedAvgOptions, pool: int) -> int:
    """Passes of each client's items in a round of FedAvg; a backward counts as two forwards."""
    return 3 * options.local_epochs * min(config.warmup_cohort, pool)


def zowarmup_passes(config: TrainConfig, options: FedAvgOptions, high: int) -> int:
    """Passes of each client's items in ZOWarmUp's rounds, with its usual directions."""
    forwards = zo_forwards(ZOWarmUpOptions().directions, one_sided=False)
    in_phase_two = forwards * (config.zo_cohort or config.clients)
    warm_up = config.pivot * passes_of(config, options, high)
    return warm_up + (config.rounds - config.pivot) * in_phase_two


def size_share(model: str) -> float:
    """Weights of a model's low-resource sub-network over its own, for RGB images and 10 classes.

    Raises:
        ValueError: the model is unknown, or cannot be narrowed.
    """
    from zo_core.models import ModelConfig, skeleton
    from zo_core.models.narrow import narrow_tensors

    module = skeleton(model, ModelConfig(num_classes=10, in_channels=3, image_size=32))
    sizes = [
        sum(math.prod(tensor.shape) for tensor in narrow_tensors(module, width))
        for width in (LOW_WIDTH, 1.0)
    ]
    return sizes[0] / sizes[1]
