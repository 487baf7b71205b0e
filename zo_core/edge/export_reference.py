"""Compute the reference scalars of a module that is exported; see :mod:`zo_core.edge.reference`."""

from __future__ import annotations

import copy

import torch
from torch import nn

from zo_core.edge.reference import (
    DIRECTIONS,
    EPSILON,
    ITEMS,
    Reference,
    reference_batch,
    reference_seeds,
)
from zo_core.loss.module_loss import mean_loss
from zo_core.spsa import NonFiniteLossError, loss_differences
from zo_core.weight_grid import Grid, GridError

_NO_FORWARD = (RuntimeError, TypeError, NotImplementedError, NonFiniteLossError)


def reference_of(
    module: nn.Module, x: torch.Tensor, num_classes: int, grid: Grid | None
) -> Reference:
    """Compute dL of a float64 copy of a module, in evaluation mode, along the reference directions.

    Args:
        module: as it is exported; it does not change.
        x: inputs of the model's shape and dtype.
        num_classes: of its scores.
        grid: the weights' exponents; None for weights that are not snapped.
    """
    if grid is None:
        return _none("the weights are not on the grid, so perturbing them would change them")
    if x.dtype != torch.float32:
        return _none(f"inputs are {x.dtype}, and the reference items are float32")
    try:
        radius = grid.radius(EPSILON)
        exact = copy.deepcopy(module).double()
        images, labels = reference_batch(tuple(x.shape[1:]), num_classes, ITEMS)
        wide, y = torch.from_numpy(images).double(), torch.from_numpy(labels)
        found = loss_differences(
            lambda: mean_loss(exact, wide, y), exact, reference_seeds(DIRECTIONS), epsilon=radius
        )
    except GridError as error:
        return _none(str(error))
    except _NO_FORWARD as error:
        return _none(f"no float64 forward: {type(error).__name__}: {error}".splitlines()[0])
    return Reference(items=ITEMS, epsilon=EPSILON, differences=tuple(map(float, found)))


def _none(reason: str) -> Reference:
    return Reference(items=ITEMS, epsilon=EPSILON, differences=(), reason=reason)
