"""Initial weights from the stream: one run seed means the same weights on every device.

Element i of parameter t (all of ``named_parameters()``, frozen ones too, a tied one once) comes
from word i mod 2^15 of the stream's words for purpose INITIAL_WEIGHTS with a = t and b = i div
2^15.  Every law is a uniform one, so that no libm function is needed and the bits are the same
everywhere; a normal law would differ in its last bits between machines.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import nn

from zo_core.philox import Purpose, random_uniform

CHUNK: Final = 1 << 15  # elements drawn at a time; part of the map above; too few to wake threads
BARE_STD: Final = 0.02  # standard deviation of embeddings, class tokens and other bare parameters

_NORMS: Final = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


def init_weights_(module: nn.Module, run_seed: int) -> None:
    """Fill every parameter of a module in place, from the stream.

    Weights of linear, convolutional and attention layers are uniform within +-1/sqrt(fan_in), as
    torch's defaults are, and so are their biases, with the weight's fan_in.  Norm layers get weight
    1 and bias 0.  Everything else (embeddings, class tokens, a user's own parameters) is uniform
    with mean 0 and standard deviation 0.02.  A tied parameter follows the law of the first module
    that owns it.  Buffers are left alone.

    Args:
        module: any module; parameters of any floating dtype, on any device.
        run_seed: the run's seed, in [0, 2^64).
    """
    done: set[nn.Parameter] = set()
    for owner in module.modules():
        for name, parameter in owner.named_parameters(recurse=False):
            if parameter not in done:
                _init_parameter_(owner, name, parameter, run_seed, index=len(done))
                done.add(parameter)


def _init_parameter_(
    owner: nn.Module, name: str, parameter: nn.Parameter, run_seed: int, index: int
) -> None:
    if isinstance(owner, _NORMS):
        nn.init.constant_(parameter, 1.0 if name == "weight" else 0.0)
    else:
        _fill_uniform_(parameter, _bound(owner, name), run_seed, index)


def _bound(owner: nn.Module, name: str) -> float:
    """Half the width of a parameter's uniform law; a bias follows the weight it stands beside."""
    weight_name = name.replace("bias", "weight")  # in_proj_bias beside in_proj_weight, and so on
    weight = getattr(owner, weight_name, None)
    is_layer = "weight" in weight_name and not isinstance(owner, nn.Embedding | nn.EmbeddingBag)
    if is_layer and weight is not None and weight.ndim >= 2:
        return 1.0 / math.sqrt(weight[0].numel())
    return BARE_STD * math.sqrt(3.0)


def _fill_uniform_(parameter: nn.Parameter, bound: float, run_seed: int, index: int) -> None:
    target = parameter.detach()
    flat = target.contiguous().view(-1)  # the same memory, unless the layout is not row-major
    for block, start in enumerate(range(0, flat.numel(), CHUNK)):
        chunk = flat[start : start + CHUNK]
        uniform = random_uniform(run_seed, Purpose.INITIAL_WEIGHTS, chunk.numel(), a=index, b=block)
        chunk.copy_(torch.from_numpy((2.0 * uniform - 1.0) * bound))
    if flat.data_ptr() != target.data_ptr():
        target.copy_(flat.view_as(target))
