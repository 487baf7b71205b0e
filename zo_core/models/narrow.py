"""Nested sub-networks: the first channels of a network, as a network (HeteroFL: Diao, Ding, Tarokh,
"HeteroFL: Computation and Communication Efficient Federated Learning for Heterogeneous Clients",
ICLR 2021, arXiv 2010.01264).

At width r each hidden layer keeps the first floor(r n) of its n channels, so that a weight of the
sub-network is the prefix of the whole one's along each hidden dimension.  The inputs of the first
layer and the outputs of the last one stay.  GroupNorm keeps the channels of a group and has r times
the groups: each group of the sub-network is one of the whole network's, over the same channels.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Final

from torch import nn

Shape = tuple[int, ...]

_LAYERS: Final = (nn.Conv2d, nn.Linear)
_NORMS: Final = (nn.GroupNorm, nn.BatchNorm2d)


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrowTensor:
    """What a sub-network holds of a trainable tensor: its first elements along each dimension."""

    shape: Shape
    is_output: bool  # a row for each output of the network

    @property
    def index(self) -> tuple[slice, ...]:
        """Where it lies in the whole tensor."""
        return prefix(self.shape)


def narrow_tensors(module: nn.Module, width: float) -> list[NarrowTensor]:
    """Tell what a sub-network holds of each trainable tensor, in stream order.

    Args:
        module: the whole network, of convolutions, linear layers, GroupNorm and BatchNorm; what it
            owns outside of layers is held whole.
        width: r, in (0, 1].

    Raises:
        ValueError: width is out of range, or the network has a layer that cannot be narrowed.
    """
    shapes = _shapes(module, width)
    outputs = {id(p) for layer in _layers(module)[-1:] for p in layer.parameters()}
    return [
        NarrowTensor(shape=shapes[id(p)], is_output=id(p) in outputs)
        for p in module.parameters()
        if p.requires_grad
    ]


def narrowed(module: nn.Module, width: float, *, scaled: bool = True) -> nn.Module:
    """Copy the sub-network of a network, ready to be trained.

    Its BatchNorm is static: it normalises by the batch and keeps no running statistic.

    Args:
        module: see :func:`narrow_tensors`.
        width: r, in (0, 1]; 1 copies the whole network.
        scaled: in training the input of each norm layer is divided by the width (HeteroFL's scaler,
            which stands there).

    Returns:
        A network with memory of its own.

    Raises:
        ValueError: see :func:`narrow_tensors`.
    """
    shapes = _shapes(module, width)
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        part = parameter.detach()[prefix(shapes[id(parameter)])].clone()
        memo[id(parameter)] = nn.Parameter(part, requires_grad=parameter.requires_grad)
    narrow = copy.deepcopy(module, memo)
    for layer in narrow.modules():
        _adapt_(layer, width)
        if scaled and isinstance(layer, _NORMS) and width != 1.0:
            layer.register_forward_pre_hook(
                lambda norm, inputs: (inputs[0] / width,) if norm.training else inputs
            )
    return narrow


def prefix(shape: Shape) -> tuple[slice, ...]:
    """Return the index of an array's first elements along each dimension."""
    return tuple(slice(size) for size in shape)


def _layers(module: nn.Module) -> list[nn.Module]:
    return [layer for layer in module.modules() if isinstance(layer, _LAYERS)]


def _shapes(module: nn.Module, width: float) -> dict[int, Shape]:
    """Shapes of all parameters by their identity."""
    if not 0.0 < width <= 1.0:
        raise ValueError(f"width must be in (0, 1], got {width}")
    shapes = {id(p): tuple(p.shape) for p in module.parameters()}
    if width == 1.0:
        return shapes
    layers = _layers(module)
    for layer in module.modules():
        _require_narrowable(layer, width)
        if isinstance(layer, _LAYERS):
            outputs, inputs, *kernel = layer.weight.shape
            outputs = outputs if layer is layers[-1] else int(width * outputs)
            inputs = inputs if layer is layers[0] else int(width * inputs)
            shapes[id(layer.weight)] = (outputs, inputs, *kernel)
        elif isinstance(layer, _NORMS):
            outputs = int(width * layer.weight.numel())
            shapes[id(layer.weight)] = (outputs,)
        else:
            continue
        if layer.bias is not None:
            shapes[id(layer.bias)] = (outputs,)
    return shapes


def _require_narrowable(layer: nn.Module, width: float) -> None:
    known = isinstance(layer, (*_LAYERS, *_NORMS)) and getattr(layer, "groups", 1) == 1
    owned = any(True for _ in layer.parameters(recurse=False))
    if owned and not known and type(layer).__module__.startswith("torch.nn."):
        raise ValueError(
            f"a layer {type(layer).__name__} cannot be narrowed: a network of several widths has "
            "convolutions (of one group), linear layers, GroupNorm and BatchNorm only"
        )
    if isinstance(layer, nn.GroupNorm) and not (width * layer.num_groups).is_integer():
        raise ValueError(
            f"width must leave whole groups of {layer.num_channels // layer.num_groups} channels "
            f"of GroupNorm's {layer.num_groups}, got {width}"
        )


def _adapt_(layer: nn.Module, width: float) -> None:
    """Bring what a layer says of itself in line with its weights."""
    match layer:
        case nn.Conv2d():
            layer.out_channels, layer.in_channels = layer.weight.shape[:2]
        case nn.Linear():
            layer.out_features, layer.in_features = layer.weight.shape
        case nn.GroupNorm():
            layer.num_groups = int(width * layer.num_groups)
            layer.num_channels = layer.weight.numel()
        case nn.BatchNorm2d():
            layer.num_features = layer.weight.numel()
            layer.track_running_stats = False
            layer.running_mean = layer.running_var = layer.num_batches_tracked = None
