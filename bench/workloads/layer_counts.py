"""What one item's forward makes and multiplies, counted at torch's dispatcher and by torchinfo.

The paper's formulas rest on torchinfo's listing of the paper's models, and only for those is it
taken. It lists modules: what a module does by functions (the projections inside an attention
layer, any functional call) is not in it. Our count sees operators.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from zo_core.loss.module_loss import evaluating


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCounts:
    """One item's forward."""

    outputs: tuple[int, ...]  # floats that each operation with parameters puts out
    mult_adds: int  # of matrix products, convolutions and attention
    parameters: int


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Give every module its own mode and every buffer its values back afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
        with torch.no_grad():
            for buffer, values in buffers:
                buffer.copy_(values)


def count_layers(module: nn.Module, x: torch.Tensor) -> LayerCounts:
    """Count one item's forward at the dispatcher; the module is left as it was.

    Args:
        module: Any model.
        x: One item, (1, ...).
    """
    outputs = _Outputs(module.parameters())
    flops = FlopCounterMode(display=False)
    # Not in inference mode, which shows composite operators whole; and attention by its products,
    # since the counter of multiply-adds does not know the CPU's fused operator.
    by_products = sdpa_kernel(SDPBackend.MATH)
    with unchanged(module), torch.no_grad(), evaluating(module), by_products, flops, outputs:
        module(x)
    return LayerCounts(
        outputs=tuple(outputs.sizes),
        mult_adds=flops.get_total_flops() // 2,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
    )


def count_by_torchinfo(module: nn.Module, input_shape: Sequence[int]) -> LayerCounts:
    """Count as torchinfo's summary does; the module is left as it was.

    torchinfo gives every module inside the outermost one's mode, which thaws frozen norm layers.

    Args:
        module: Any model.
        input_shape: Of one item.
    """
    import torchinfo

    summary: Any = torchinfo.summary  # untyped there
    with unchanged(module):
        found = summary(
            module, input_size=(1, *input_shape), verbose=0, device="cpu", cache_forward_pass=False
        )
    return LayerCounts(
        outputs=(found.total_output_bytes // 8,),  # forward and backward, 4 bytes each
        mult_adds=found.total_mult_adds,
        parameters=found.total_params,
    )


class _Outputs(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects the sizes of what operators with a parameter put out."""

    def __init__(self, parameters: Iterator[nn.Parameter]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._parameters = {_storage(parameter) for parameter in parameters}
        self.sizes: list[int] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        output = result[0] if isinstance(result, tuple) else result
        if isinstance(output, torch.Tensor) and self._takes_parameter(args):
            is_view = _storage(output) in self._parameters
            self.sizes.extend([] if is_view else [output.numel()])
        return result

    def _takes_parameter(self, args: tuple[Any, ...]) -> bool:
        tensors = [leaf for leaf in tree_leaves(args) if isinstance(leaf, torch.Tensor)]
        return any(_storage(tensor) in self._parameters for tensor in tensors)


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
