"""Weights on a grid, so that perturbing restores exactly: rules 1 to 4 and 9 of ``zo-grid/1``.

Tensor t holds w = k * 2^e with an integer |k| <= 2^23 and an exponent e of its own.  Adding a
multiple of 2^e to such weights is exact in fp32, in any order.  Exponents travel with the weights
and are never recomputed from them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from zo_core import kernels
from zo_core.kernels.resumable_pass import chunks_of, uninterrupted
from zo_core.numbers import as_number
from zo_core.parameters import Parameters, Params, Span, parameters, size_of

GRID_VERSION = "zo-grid/1"
MAX_K = 1 << 23  # between rounds
MAX_K_IN_ROUND = 1 << 24  # what fp32 holds exactly
_BEYOND_GRID = 2.0**126  # from here on, |k| = 2^24 would overflow fp32
_BEYOND_FLOAT32 = 2.0**200
_SAMPLED_PIECES = 4
_FLOAT32_BYTES = 4
_REPORTED_LOSS = 0.1  # share of a tensor's weights that snap_ rounds to zero
_log = logging.getLogger("zo_core.weight_grid")


class GridError(ArithmeticError):
    """The weights, or a step on them, do not fit the grid; in training the run has diverged."""


@dataclass(slots=True)
class Grid:
    """The exponents of a model's tensors; changed in place when a tensor is widened."""

    exponents: npt.NDArray[np.int32]  # (tensors,), in stream order

    def __post_init__(self) -> None:
        self.exponents = np.array(self.exponents, dtype=np.int32)

    def copy(self) -> Grid:
        """Return a grid that later widenings of this one do not change."""
        return Grid(self.exponents)

    def radius(self, epsilon: float, tau: float = 1.0) -> float:
        """Compute rho, the multiple of the coarsest quantum that is nearest to epsilon * tau.

        Args:
            epsilon: finite-difference step, > 0.
            tau: scale of the direction, > 0.

        Returns:
            rho, one for all tensors; w + rho and w - rho are exact for every weight (rule 4).

        Raises:
            ValueError: epsilon or tau is not > 0.
            GridError: rho is below the coarsest quantum or beyond the finest tensor's range.
        """
        epsilon, tau = as_positive("epsilon", epsilon), as_positive("tau", tau)
        coarsest, finest = int(self.exponents.max()), int(self.exponents.min())
        # what is beyond every tensor's range may be beyond float64's too
        steps = round(math.ldexp(min(epsilon * tau, _BEYOND_FLOAT32), -coarsest))
        if steps < 1:
            raise GridError(
                f"epsilon * tau = {epsilon * tau:g} rounds to zero on tensor "
                f"{int(self.exponents.argmax())}, whose quantum is 2^{coarsest}; raise epsilon"
            )
        rho = math.ldexp(steps, coarsest)
        if rho > math.ldexp(MAX_K, finest):
            raise GridError(
                f"epsilon * tau = {epsilon * tau:g} exceeds 2^{finest + 23}, the range of tensor "
                f"{int(self.exponents.argmin())}; lower epsilon"
            )
        return rho


def snap_(params: Params) -> Grid:
    """Put fp32 weights on the grid in place, each tensor with its own exponent (rule 2).

    The server does this once, at hand-over.  An exponent is never below -26, so that small tensors
    can still grow.  Where that rounds many of a tensor's weights to zero, a warning is logged.

    Args:
        params: a module, or an ordered list of fp32 buffers.

    Returns:
        The exponents.

    Raises:
        ValueError: nothing trainable, or a dtype other than float32.
        GridError: a weight is not finite, or so large that fp32 could not hold it in a round; no
            weight has been changed then.
    """
    numbered = parameters(params)
    _require_float32(numbered)
    largest = _largest_weights(numbered)
    for name, m in zip(numbered.names, largest, strict=True):
        if not m < _BEYOND_GRID:
            raise GridError(
                f"parameter {name!r} holds a weight that is not finite or not below 2^126; "
                "warm up again"
            )
    exponents = [max(math.frexp(m)[1] if m > 0 else -3, -3) - 23 for m in largest]
    _report_lost(numbered, exponents)
    uninterrupted(partial(_round, numbered, dict(enumerate(exponents))))
    return Grid(np.array(exponents, dtype=np.int32))


def widen_from_(
    params: Parameters, grid: Grid, before: npt.NDArray[np.int32], largest_k: Sequence[int]
) -> list[str]:
    """Halve the resolution of tensors that outgrew |k| <= 2^23, in place (rule 9).

    Calling it again finishes what an interrupt cut, or changes nothing.

    Args:
        params: weights with |k| <= 2^24.
        grid: their exponents; raised by one for each tensor widened.
        before: the exponents before the first call; a copy.
        largest_k: largest |k| of each tensor.

    Returns:
        Names of the tensors widened.
    """
    wide = [index for index, k in enumerate(largest_k) if k > MAX_K]
    wider = before[wide] + 1
    _round(params, dict(zip(wide, wider.tolist(), strict=True)))
    grid.exponents[wide] = wider
    return [params.names[index] for index in wide]


def check_grid_size(params: Parameters, grid: Grid | None) -> None:
    """Check that a grid has an exponent for each tensor.

    Raises:
        ValueError: it does not.
    """
    if grid is not None and len(grid.exponents) != len(params.arrays):
        raise ValueError(
            f"grid has {len(grid.exponents)} exponents, but params has {len(params.arrays)} "
            "tensors; pass the grid that snap_ returned for this model"
        )


def check_grid(params: Parameters, grid: Grid | None) -> None:
    """Check that a grid is of these weights, as far as a look at a few of them can show.

    Raises:
        ValueError: it has a different number of tensors, or the weights are not on it.
    """
    check_grid_size(params, grid)
    if grid is None:
        return
    exponents = grid.exponents.tolist()
    for span in _samples(params):
        e = exponents[span.tensor_index]
        if not _is_on_grid(span.array, e):
            raise ValueError(
                f"parameter {params.names[span.tensor_index]!r} holds a weight that is not a "
                f"multiple of 2^{e} below 2^{e + 24} in float32; pass the grid that snap_ returned "
                "for this model, and let only the engine write to the weights after that"
            )


def _samples(params: Parameters) -> Sequence[Span]:
    """Choose the spans to look at, the largest ones: biases are often all zero."""
    if "samples" not in params.tables:
        by_size = sorted(params.spans, key=lambda span: size_of(span.array))
        params.tables["samples"] = by_size[-_SAMPLED_PIECES:]
    samples: Sequence[Span] = params.tables["samples"]
    return samples


def _is_on_grid(array: Any, e: int) -> bool:
    """Look at a span's dtype and, in host memory, at one weight."""
    if array.itemsize != _FLOAT32_BYTES or not isinstance(array, np.ndarray):
        return bool(array.itemsize == _FLOAT32_BYTES)
    k = array.item(0) * 2.0**-e
    return bool(k % 1.0 == 0.0 and abs(k) <= MAX_K_IN_ROUND)


def as_positive(name: str, value: float) -> float:
    """Return a finite number above zero as a float.

    Raises:
        ValueError: it is something else.
    """
    number = as_number(name, value)
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(f"{name} must be > 0 and finite, got {value}")
    return number


def _report_lost(params: Parameters, exponents: Sequence[int]) -> None:
    """Log the tensors of which many weights will become zero."""
    lost, nonzero = [0] * len(exponents), [0] * len(exponents)
    for part, _, index, _ in chunks_of(params.spans):
        sizes = abs(part)
        nonzero[index] += int((sizes > 0).sum())
        lost[index] += int(((sizes > 0) & (sizes <= math.ldexp(0.5, exponents[index]))).sum())
    for name, e, zeros, count in zip(params.names, exponents, lost, nonzero, strict=True):
        if zeros > _REPORTED_LOSS * count:
            _log.warning(
                "snap_ rounds %.0f %% of the non-zero weights of parameter %r to zero: they are "
                "below half of its quantum 2^%d; scale that tensor up, or use plain mode",
                100 * zeros / count,
                name,
                e,
            )


def _round(params: Parameters, exponents: dict[int, int]) -> None:
    """Round some tensors to their exponents in place; what is rounded already does not change."""
    for span in params.spans:
        if span.tensor_index in exponents:
            kernels.round_to_quantum(span, 2.0 ** exponents[span.tensor_index])


def _largest_weights(params: Parameters) -> list[float]:
    largest = [0.0] * len(params.arrays)
    for span in params.spans:
        index = span.tensor_index
        found = kernels.max_abs(span)
        largest[index] = found if math.isnan(found) else max(largest[index], found)
    return largest


def _require_float32(params: Parameters) -> None:
    for name, array in zip(params.names, params.arrays, strict=True):
        if "float32" not in str(array.dtype):
            raise ValueError(
                f"grid mode needs float32 weights, but parameter {name!r} is {array.dtype}; "
                "convert the model with .float(), or use plain mode (no grid)"
            )
