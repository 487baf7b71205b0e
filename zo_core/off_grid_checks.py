"""Steps on weights that are not on a grid: an absurd one is refused before a weight changes."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from zo_core.kernels.resumable_pass import chunks_of
from zo_core.parameters import Parameters

_REPORTED_LOSS = 0.5  # share of weights that a perturbation leaves where they are
_log = logging.getLogger("zo_core.off_grid_checks")


class NonFiniteWeightsError(ArithmeticError):
    """Weights are not finite, or a step would make them so; they are those before the step."""


def check_perturbation(params: Parameters, rho: float) -> None:
    """Look, once for each model and radius, whether w + rho and w - rho differ from w.

    Logs a warning with the share of weights that do not move where that is more than a half.

    Raises:
        NonFiniteWeightsError: a weight is not finite.
        ValueError: no weight moves.
    """
    key = ("plain", rho)
    if key not in params.tables:
        params.tables[key] = _lost_share(params, rho)
    share = params.tables[key]
    if share == 1.0:
        raise ValueError(
            f"epsilon * tau = {rho:g} is lost to rounding on all weights in {_dtypes(params)}: "
            "w + rho is w; raise epsilon, or use float32 weights"
        )


def check_step(params: Parameters, reach: float) -> None:
    """Check that a step fits the weights' dtypes.

    Args:
        params: the weights.
        reach: the most that the step can move a weight.

    Raises:
        NonFiniteWeightsError: it does not; no weight has changed.
    """
    for array in params.arrays:
        if not reach < _largest(array.dtype):
            raise NonFiniteWeightsError(
                f"a step of up to {reach:.3g} does not fit {_dtypes(params)}; no weight has "
                "changed (lower lr: the run is diverging)"
            )


def _lost_share(params: Parameters, rho: float) -> float:
    lost = 0
    for chunk in chunks_of(params.spans):
        part = chunk.part
        with np.errstate(over="ignore"):
            stays = ((part + rho) == part) & ((part - rho) == part)
        if not bool((abs(part) <= _largest(part.dtype)).all()):
            raise NonFiniteWeightsError(
                f"parameter {params.names[chunk.tensor_index]!r} holds a weight that is not "
                "finite; load the last good weights (lower lr, or check the data)"
            )
        lost += int(stays.sum())
    share = lost / max(params.num_elements, 1)
    if _REPORTED_LOSS < share < 1.0:
        _log.warning(
            "epsilon * tau = %g is lost to rounding on %.0f %% of the weights in %s; "
            "raise epsilon, or use float32 weights",
            rho,
            100 * share,
            _dtypes(params),
        )
    return share


def _largest(dtype: Any) -> float:
    if isinstance(dtype, np.dtype):
        return float(np.finfo(dtype).max)
    import torch

    return torch.finfo(dtype).max


def _dtypes(params: Parameters) -> str:
    return ", ".join(sorted({str(array.dtype).removeprefix("torch.") for array in params.arrays}))
