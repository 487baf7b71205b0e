"""ZeroFL (Qiu, Fernandez-Marques, Gusmao, Gao, Parcollet, Lane, "ZeroFL: Efficient On-Device
Training for Federated Learning with Local Sparsity", ICLR 2022, arXiv 2208.02507): clients train by
SWAT (Raihan, Aamodt, NeurIPS 2020, arXiv 2001.01969) and send the largest of their change.

Each convolution and linear layer computes its outputs and its inputs' gradient from its largest
weights alone, and its weights' gradient from its largest inputs alone.  Torch has no sparse
convolution: here the small ones are zeros in dense tensors, which saves neither time nor memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.baselines.change_averaging import ChangeAveraging, largest, require_size
from zo_core.algorithms.methods.fedavg import FedAvg, FedAvgOptions, local_sgd_fields
from zo_core.algorithms.steps.phases import one_phase
from zo_core.config import TrainConfig
from zo_core.method import Algorithm, ClientData, RoundContext
from zo_core.options import share
from zo_core.payloads.core import DenseWeights, Payload
from zo_core.payloads.encoding import payload
from zo_core.payloads.fields import U32, Array, Floats
from zo_core.replica import Replica

if TYPE_CHECKING:
    import torch
    from torch import nn


@payload(kind=16)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskedChange(Payload):
    """Some of a change of the weights, a bit for each weight that tells which, and all buffers."""

    slot: U32  # client slot
    samples: U32  # n_k, the client's training samples
    sent: Annotated[npt.NDArray[np.bool_], Array(np.bool_, "Q", counted=True)]  # (P,)
    values: Annotated[Floats, Array(np.float32, lambda known: int(known.sent.sum()), counted=True)]
    # as they are after the client's training
    buffers: Annotated[Floats, Array(np.float32, "I", counted=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroFL(ChangeAveraging):
    """SWAT on the clients; the largest changes of all weights are sent, the rest is lost."""

    sparsity: float
    mask_ratio: float
    name: str = "zerofl"

    def train_(self, replica: Replica, client: ClientData, context: RoundContext) -> None:
        """Take some epochs of SGD with sparse weights and sparse activations."""
        with sparse_layers(replica.module, 1.0 - self.sparsity):
            FedAvg.train_(self, replica, client, context)

    def encoded_(
        self, replica: Replica, change: Floats, trained: DenseWeights, context: RoundContext
    ) -> MaskedChange:
        """Send the largest changes: as many as a forward has weights, and mask_ratio more."""
        share = min(1.0, 1.0 - self.sparsity + self.mask_ratio)
        sent = np.zeros(change.size, np.bool_)
        sent[largest(change, int(np.ceil(share * change.size)))] = True
        return MaskedChange(
            run_id=trained.run_id,
            round_index=trained.round_index,
            slot=trained.slot,
            samples=trained.samples,
            sent=sent,
            values=change[sent],
            buffers=trained.values[change.size :],
        )

    def change_of(self, replica: Replica, update: Payload) -> Floats:
        """Put what was sent into zeros, (P,)."""
        masked = cast(MaskedChange, update)
        require_size(masked.sent.size, replica)
        change = np.zeros(masked.sent.size, np.float32)
        change[masked.sent] = masked.values
        return change


@contextmanager
def sparse_layers(module: nn.Module, kept: float) -> Iterator[None]:
    """Within this context, let convolutions and linear layers compute as SWAT does.

    Args:
        module: its convolutions and linear layers are changed; all other layers stay.
        kept: share of a layer's weights, and of its inputs in the backward, that is not 0.
    """
    from torch import nn

    layers = [layer for layer in module.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    for layer in layers:
        layer.forward = partial(_sparse_forward, layer, kept)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def keep_largest(values: torch.Tensor, kept: float) -> torch.Tensor:
    """Return a dense tensor in which all but a share of the largest magnitudes are 0."""
    import torch

    count = max(1, round(kept * values.numel()))
    least = values.abs().reshape(-1).kthvalue(values.numel() - count + 1).values
    return torch.where(values.abs() >= least, values, 0.0)


def _sparse_forward(layer: Any, kept: float, x: torch.Tensor) -> torch.Tensor:
    import torch

    class SWAT(torch.autograd.Function):
        """A layer whose output and inputs' gradient see other operands than its weights'."""

        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            sparse = keep_largest(weight, kept)
            ctx.save_for_backward(keep_largest(x, kept), sparse)
            return _apply(layer, x, sparse)

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
            x, weight = ctx.saved_tensors
            return _gradients(layer, x, weight, gradient, for_inputs=ctx.needs_input_grad[0])

    output = SWAT.apply(x, layer.weight)  # type: ignore[no-untyped-call]
    if layer.bias is None:
        return cast("torch.Tensor", output)
    shape = (-1, 1, 1) if layer.weight.ndim == 4 else (-1,)
    return cast("torch.Tensor", output + layer.bias.view(shape))


def _apply(layer: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    from torch.nn import functional

    if weight.ndim == 2:
        return functional.linear(x, weight)
    return functional.conv2d(x, weight, None, *_geometry(layer))


def _gradients(
    layer: Any, x: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor, *, for_inputs: bool
) -> tuple[torch.Tensor | None, torch.Tensor]:
    from torch.nn import grad

    of_conv_weight: Any = grad.conv2d_weight
    of_conv_input: Any = grad.conv2d_input
    if weight.ndim == 2:
        columns = gradient.reshape(-1, gradient.shape[-1])
        of_weight = columns.T @ x.reshape(-1, x.shape[-1])
        return (gradient @ weight if for_inputs else None), of_weight
    geometry = _geometry(layer)
    of_weight = of_conv_weight(x, weight.shape, gradient, *geometry)
    if not for_inputs:
        return None, of_weight
    return of_conv_input(x.shape, weight, gradient, *geometry), of_weight


def _geometry(layer: Any) -> Sequence[Any]:
    return layer.stride, layer.padding, layer.dilation, layer.groups


@dataclass(frozen=True, kw_only=True)
class ZeroFLOptions(FedAvgOptions):
    """ZeroFL"""

    local_sparsity: float = share(0.9, "share of weights and activations that are 0 in training")
    # paper: 0, 0.1 and 0.2
    mask_ratio: float = share(0.1, "share of weights sent beyond those of a forward", zero=True)


def zerofl(config: TrainConfig, options: ZeroFLOptions, high: tuple[int, ...]) -> Algorithm:
    """ZeroFL: clients train by a tenth of weights and activations and send a fifth of a change."""
    method = ZeroFL(
        **local_sgd_fields(config, options),
        server_lr=options.server_lr,
        sparsity=options.local_sparsity,
        mask_ratio=options.mask_ratio,
    )
    return one_phase(method, config, tuple(range(config.clients)))
