"""Can a device's arithmetic carry zeroth-order training?  Its scalars against float64's."""

from __future__ import annotations

import copy
from typing import Final

import torch
from torch import nn

from zo_core.loss.module_loss import Criterion, cross_entropy, mean_loss
from zo_core.loss.noise import SEED_ROUND, ScalarNoise, relative_noise
from zo_core.loss.precision import computing_in
from zo_core.seeds import derive_seeds
from zo_core.spsa import NonFiniteLossError, loss_differences
from zo_core.weight_grid import GridError, snap_

_ITEMS: Final = 64  # of the batch that is looked at, at most


def measure_scalar_noise(
    module: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    precision: str,
    epsilon: float,
    tau: float = 1.0,
    directions: int = 8,
    criterion: Criterion = cross_entropy,
) -> ScalarNoise:
    """Compare dL along a few directions with a float64 forward of the same weights.

    Args:
        module: float32; it is copied, once in float32 and once in float64, and does not change.
        x: inputs, (items, ...); the first 64 are taken.
        y: targets, (items, ...).
        precision: a name in PRECISIONS.
        epsilon: finite-difference step.
        tau: scale of z.
        directions: how many.
        criterion: gives the loss of each item.
    """
    x, y = x[:_ITEMS], y[:_ITEMS]
    work = copy.deepcopy(module)
    with computing_in(precision, x.device.type, forwards_only=True):
        losses = [mean_loss(work, x, y, criterion=criterion) for _ in range(2)]
    relative, scale, reason = None, None, None
    try:
        relative, scale = _relative_rms(
            work,
            x,
            y,
            precision=precision,
            radius=epsilon * tau,
            directions=directions,
            criterion=criterion,
        )
    except (RuntimeError, TypeError, NotImplementedError, GridError, NonFiniteLossError) as error:
        reason = f"no float64 forward: {type(error).__name__}: {error}".splitlines()[0]
    if relative is None and reason is None:
        reason = "the loss does not change along these directions"
    return ScalarNoise(
        precision=precision,
        directions=directions,
        repeat_difference=abs(losses[1] - losses[0]),
        relative_rms=relative,
        scale=scale,
        reason=reason,
        items=len(x),
    )


def _relative_rms(
    work: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    precision: str,
    radius: float,
    directions: int,
    criterion: Criterion,
) -> tuple[float | None, float]:
    """Return the error's RMS over dL64's, None where the latter is 0; and dL64's RMS."""
    grid = snap_(work)  # so that both copies are perturbed to the same weights exactly
    exact = copy.deepcopy(work).double()
    seeds = derive_seeds(0, round_index=SEED_ROUND, client_id=0, directions=directions)
    rho = grid.radius(radius)
    with computing_in(precision, x.device.type, forwards_only=True):
        found = loss_differences(
            lambda: mean_loss(work, x, y, criterion=criterion), work, seeds, epsilon=rho, grid=grid
        )
    wide = x.double() if x.is_floating_point() else x
    expected = loss_differences(
        lambda: mean_loss(exact, wide, y, criterion=criterion), exact, seeds, epsilon=rho
    )
    return relative_noise(found.tolist(), expected.tolist())
