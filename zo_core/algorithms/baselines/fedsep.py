"""FedSep (Li, Huang, "Resolving the Tug-of-War: A Separation of Communication and Learning in
Federated Learning", NeurIPS 2023): what is learned and what is sent are different parameters, tied
by a decoder, which is a minimisation, and an encoder.

Here the sent parameter is a linear sketch x = S y of the weights y, and decoding gives the weights
nearest to the round's that have it (the minimum of ||y - y_r|| subject to S y = x).  S adds the
weights, with random signs, into d buckets that are drawn again each round, so that decoding has a
closed form and gradients pass through it: a client trains the decoded weights along the buckets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, cast

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.baselines.change_averaging import ChangeAveraging
from zo_core.algorithms.methods.fedavg import FedAvgOptions, local_sgd_fields
from zo_core.algorithms.steps.averaging import SampleMean
from zo_core.algorithms.steps.phases import one_phase
from zo_core.config import TrainConfig
from zo_core.first_order.sgd import SGDStep
from zo_core.loss.module_loss import Criterion, cross_entropy
from zo_core.method import Algorithm, ApplyReport, ClientData, RoundContext
from zo_core.options import count
from zo_core.payloads.core import DenseWeights, Payload
from zo_core.payloads.encoding import payload
from zo_core.payloads.fields import U32, Array, Floats
from zo_core.philox import Purpose, random_permutation, random_uniform
from zo_core.replica import Replica, gather

if TYPE_CHECKING:
    import torch
    from torch import nn


@payload(kind=17)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SketchedChange(Payload):
    """A change of the sent parameter, up or down, and all buffers."""

    slot: U32  # client slot; 0 on the down-link
    samples: U32  # n_k, the client's training samples; 0 on the down-link
    sketch: Annotated[Floats, Array(np.float32, "I", counted=True)]  # (d,)
    buffers: Annotated[Floats, Array(np.float32, "I", counted=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """S of one round: every weight in one bucket, with a sign; buckets are as full as can be."""

    buckets: npt.NDArray[np.int64]  # (P,), in [0, d)
    signs: npt.NDArray[np.float32]  # (P,), 1 or -1
    sizes: npt.NDArray[np.float32]  # (d,), weights in a bucket

    @classmethod
    def of(cls, size: int, compression: int, *, run_seed: int, round_index: int) -> Sketch:
        """Draw a round's."""
        order = random_permutation(run_seed, Purpose.WIDTH, size, a=round_index)
        uniform = random_uniform(run_seed, Purpose.WIDTH, size, a=round_index, b=1)
        buckets = order % -(-size // compression)
        return cls(
            buckets=buckets,
            signs=np.where(uniform < 0.5, -1, 1).astype(np.float32),
            sizes=np.bincount(buckets).astype(np.float32),
        )

    def encode(self, change: Floats) -> Floats:
        """Compute S y, (d,), in float64."""
        weighted = (self.signs * change).astype(np.float64)
        return np.bincount(self.buckets, weights=weighted).astype(np.float32)

    def decode(self, sketch: Floats) -> Floats:
        """Find the smallest change that has a sketch, (P,)."""
        return self.signs * (sketch / self.sizes)[self.buckets]


@dataclass(frozen=True, slots=True, kw_only=True)
class FedSep(ChangeAveraging):
    """Local SGD on decoded weights; x += lr_s sum n_k (x_k - x) / n, which everyone decodes."""

    compression: int
    run_seed: int
    name: str = "fedsep"
    result_to_everyone: bool = True

    def train_(self, replica: Replica, client: ClientData, context: RoundContext) -> None:
        """Take some epochs of SGD along the round's buckets."""
        step = partial(
            bucket_step_,
            step=self.sgd_step(client, context),
            weights=replica.params.arrays,
            sketch=self.sketch(replica, context.round_index),
        )
        criterion = self.criterion or replica.criterion
        self.train_module_(replica.module, client, context, criterion, step=step)

    def encoded_(
        self, replica: Replica, change: Floats, trained: DenseWeights, context: RoundContext
    ) -> SketchedChange:
        """Send the change's sketch, from which all of it can be decoded."""
        return SketchedChange(
            run_id=trained.run_id,
            round_index=trained.round_index,
            slot=trained.slot,
            samples=trained.samples,
            sketch=self.sketch(replica, context.round_index).encode(change),
            buffers=trained.values[change.size :],
        )

    def change_of(self, replica: Replica, update: Payload) -> Floats:
        """Decode a sketch, (P,).

        Raises:
            ValueError: it is of another model.
        """
        sketched = cast(SketchedChange, update)
        sketch = self.sketch(replica, sketched.round_index)
        if sketched.sketch.size != sketch.sizes.size:
            raise ValueError(
                f"a sketch must have {sketch.sizes.size} numbers, got {sketched.sketch.size}; both "
                "sides must build the same model"
            )
        return sketch.decode(sketched.sketch)

    def server_result(
        self, replica: Replica, updates: Iterable[Payload], context: RoundContext
    ) -> tuple[Payload, ApplyReport]:
        """Average sketches and buffers by samples in float64, decode the step, return both."""
        size = self.sketch(replica, context.round_index).sizes.size
        buffers = gather(self.state(replica))[replica.params.num_elements :]
        mean = SampleMean(size + buffers.size)
        for update in updates:
            sketched = cast(SketchedChange, update)
            mean.add(np.concatenate([sketched.sketch, sketched.buffers]), sketched.samples)
        after = np.concatenate([np.zeros(size), buffers])
        if mean.samples:
            after += self.server_lr * (mean.value() - np.concatenate([np.zeros(size), buffers]))
        result = SketchedChange(
            run_id=context.run_id,
            round_index=context.round_index,
            slot=0,
            samples=0,
            sketch=after[:size].astype(np.float32),
            buffers=after[size:].astype(np.float32),
        )
        return result, self.apply_(replica, result, context)

    def apply_(self, replica: Replica, result: Payload, context: RoundContext) -> ApplyReport:
        """Decode the server's step on top of the round's weights; take over its buffers."""
        replica.overwrite_(self.state(replica), self.received(replica, result).values)
        return ApplyReport()

    def sketch(self, replica: Replica, round_index: int) -> Sketch:
        """Return a round's sketch of a replica's weights."""
        size = replica.params.num_elements
        return Sketch.of(size, self.compression, run_seed=self.run_seed, round_index=round_index)


def bucket_step_(
    module: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    lr: float,
    step: SGDStep,
    weights: Sequence[torch.Tensor],
    sketch: Sketch,
    criterion: Criterion = cross_entropy,
) -> None:
    """Take the part of a first-order step that a sketch can carry, in place.

    Args:
        module: maps x to outputs.
        x: inputs, (items, ...).
        y: targets, (items, ...).
        lr: learning rate.
        step: takes the whole step.
        weights: the module's trainable tensors.
        sketch: the round's.
        criterion: gives the loss of each item.
    """
    import torch

    before = torch.cat([array.detach().reshape(-1) for array in weights])
    step(module, x, y, lr=lr, criterion=criterion)
    device = before.device
    buckets, signs, sizes = (
        torch.from_numpy(part).to(device) for part in (sketch.buckets, sketch.signs, sketch.sizes)
    )
    with torch.no_grad():
        change = torch.cat([array.detach().reshape(-1) for array in weights]) - before
        sums = torch.zeros_like(sizes).index_add_(0, buckets, signs * change)
        after = before + signs * (sums / sizes)[buckets]
        start = 0
        for array in weights:
            array.copy_(after[start : start + array.numel()].view_as(array))
            start += array.numel()


@dataclass(frozen=True, kw_only=True)
class FedSepOptions(FedAvgOptions):
    """FedSep"""

    compression: int = count(4, "weights per number that is sent", least=2)  # ours


def fedsep(config: TrainConfig, options: FedSepOptions, high: tuple[int, ...]) -> Algorithm:
    """FedSep: a sketch of a quarter of the weights' size is sent, both ways, and decoded.

    Each round trains along other buckets.
    """
    method = FedSep(
        **local_sgd_fields(config, options),
        server_lr=options.server_lr,
        compression=options.compression,
        run_seed=config.run_seed,
    )
    return one_phase(method, config, tuple(range(config.clients)))
