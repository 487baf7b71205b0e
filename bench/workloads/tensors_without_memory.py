"""A step's tensors counted without their memory, on torch's fake tensors.

A fake tensor has shape, dtype and device and no data. It says that it is on the CPU, so every
operator chooses the path that it takes there; on the meta device attention would take another.
Kernels' buffers (:mod:`devices.kernel_buffers`) count too. Run it in a fresh process: torch imports
its compiler for fake tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from devices.kernel_buffers import recurrent_workspace_bytes
from devices.tensor_memory import track_tensors
from devices.tensor_peak import TensorPeak
from zo_core.loss.module_loss import cross_entropy, evaluating

_LSTM = torch.ops.aten.mkldnn_rnn_layer.default


def count_without_memory(
    module: nn.Module,
    batch: Sequence[torch.Tensor],
    step: Callable[..., object],
) -> TensorPeak:
    """Run a step on fake tensors and count them.

    Args:
        module: On the CPU or the meta device. Its tensors are replaced by fake ones for good.
        batch: Inputs and targets.
        step: Called with the fake batch; it must not read a value, as `float(loss)` does.

    Returns:
        The peak; the baseline is the module and the batch.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        _make_fake(module)
        fakes = [_on_cpu(tensor) for tensor in batch]
        existing = [*module.buffers(), *fakes]
        # The tracker is the last to enter and the first to see an operator.
        with (
            _RealWorkspaces(),  # type: ignore[no-untyped-call]
            track_tensors(parameters=module.parameters(), existing=existing) as tracker,
        ):
            step(*fakes)
    return tracker.result()


def forward_only(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    """Take the forward of a ZO step's loss without reading the loss, which has no value here.

    A ZO step needs what its forward needs: its passes over the weights are in place.
    """
    with torch.inference_mode(), evaluating(module):
        cross_entropy(module(x), y).sum(dtype=torch.float64)


class _RealWorkspaces(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Give a training LSTM's workspace its size; torch's fake one is empty."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is not _LSTM:
            return result
        size_bytes = recurrent_workspace_bytes(args)
        return (*result[:3], torch.empty(size_bytes, dtype=torch.uint8))


def _make_fake(module: nn.Module) -> None:
    """Replace a module's tensors by fake ones; those that share a storage share the new one."""
    storages: dict[int, torch.Tensor] = {}
    made: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # keeps the old: ids stay theirs

    def fake(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in made:
            made[id(tensor)] = tensor, _view_of(storages, tensor)
        return made[id(tensor)][1]

    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            setattr(part, name, fake(parameter))
        for name, tensor in list(part.named_buffers(recurse=False)):
            setattr(part, name, fake(tensor))


def _view_of(storages: dict[int, torch.Tensor], tensor: torch.Tensor) -> torch.Tensor:
    storage = tensor.untyped_storage()
    key = int(storage._cdata)
    if key not in storages:
        elements = storage.nbytes() // tensor.element_size()
        storages[key] = torch.empty(elements, dtype=tensor.dtype, device="cpu")
    view = storages[key].as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(view.detach(), requires_grad=tensor.requires_grad)
    return view


def _on_cpu(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
