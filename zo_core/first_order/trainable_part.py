"""Which weights first-order training changes, where it is a part of them alone.

| name | what is trained by backprop |
|---|---|
| last-N | the last N layers whose weights have two dimensions or more, and what lies between |
| bias-norm | biases, and the scale and shift of norms: all tensors of one dimension |

Backprop stops at the first layer that is trained, so the last layers need few activations.  To
train biases alone is BitFit (Ben Zaken et al., ACL 2022, arXiv 2106.10199): few gradients, but a
backward pass through the whole network.  What the last layers leave is what ElasticZO (Sugiura and
Matsutani, arXiv 2501.04287) trains by forwards.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zo_core.parameters import Parameters, tensor_numbers
from zo_core.weight_grid import Grid

if TYPE_CHECKING:
    from torch import nn

    from zo_core.replica import Replica

BIAS_NORM = "bias-norm"
_LAST = re.compile(r"last-([1-9][0-9]*)")


def is_part(name: str) -> bool:
    """Whether a part has this name."""
    return name == BIAS_NORM or _LAST.fullmatch(name) is not None


def check_trained(name: str) -> None:
    """Raise a ValueError unless a part has this name."""
    if not is_part(name):
        raise ValueError(f"trained must be {BIAS_NORM} or last-N with N >= 1, got {name!r}")


def trained_tensors(module: nn.Module, name: str) -> tuple[int, ...]:
    """Find a part's tensors: their positions among the trainable ones, in stream order.

    Args:
        module: any model.
        name: see the head of this file.

    Raises:
        ValueError: an unknown name, or the model has no such part.
    """
    check_trained(name)
    last = _LAST.fullmatch(name)
    chosen = _ids_of_last(module, int(last[1])) if last else _ids_of_vectors(module)
    found = sorted({number for p, number in _numbered(module) if id(p) in chosen})
    if not found:
        raise ValueError(f"{type(module).__name__} has nothing to train by trained={name!r}")
    return tuple(found)


def _numbered(module: nn.Module) -> list[tuple[nn.Parameter, int]]:
    """Pair each trainable parameter with its tensor's number; tied ones have the same."""
    named = dict(module.named_parameters())
    return [(named[name], number) for name, number in tensor_numbers(module).items()]


def _ids_of_last(module: nn.Module, count: int) -> set[int]:
    parts = [part for part in module.modules() if any(True for _ in part.parameters(recurse=False))]
    layers = [i for i, part in enumerate(parts) if any(p.ndim > 1 for p in _own(part))]
    if count > len(layers):
        raise ValueError(
            f"trained must name at most the {len(layers)} layers of {type(module).__name__} that "
            f"have weights of two dimensions or more, got last-{count}"
        )
    return {id(p) for part in parts[layers[-count] :] for p in _own(part)}


def _ids_of_vectors(module: nn.Module) -> set[int]:
    return {id(p) for p in module.parameters() if p.ndim <= 1}


def _own(part: nn.Module) -> Iterator[nn.Parameter]:
    return part.parameters(recurse=False)


@contextmanager
def freeze_others(module: nn.Module, tensors: Sequence[int]) -> Iterator[None]:
    """Within this context, let gradients be made for some of the trainable tensors alone."""
    frozen = [p for p, number in _numbered(module) if number not in tensors]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


def view_of(replica: Replica, tensors: Sequence[int]) -> Replica:
    """View some tensors of a replica as the weights of one; forwards are the whole model's.

    It shares the weights' memory and has its own copy of their exponents.  Perturb it, step on it,
    take losses; its digest is not the model's.

    Args:
        replica: of the whole model.
        tensors: positions in stream order; the part numbers its tensors anew, from 0.
    """
    whole, grid = replica.params, replica.grid
    part = copy.copy(replica)
    part.params = Parameters(
        names=tuple(whole.names[i] for i in tensors), arrays=tuple(whole.arrays[i] for i in tensors)
    )
    part.grid = None if grid is None else Grid(grid.exponents[list(tensors)])
    return part
