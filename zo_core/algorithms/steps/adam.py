"""Adam's arithmetic (Kingma, Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, arXiv
1412.6980), as a server's optimiser and on the grid: rule 11 of ``zo-grid/1``.

Every operation is one IEEE operation in fp32 (add, multiply, divide, square root), so that a list
of integer updates gives the same moments and the same weights on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from zo_core import kernels
from zo_core.fixed_point import FixedPointUpdate
from zo_core.grid import MAX_K, MAX_K_IN_ROUND, Grid, GridError, widen_
from zo_core.optimizer import ReplayReport
from zo_core.parameters import Parameters, as_numpy_if_possible
from zo_core.state import MethodState, state_as

BETA1: Final = 0.9  # paper A.5
BETA2: Final = 0.999
# |m_hat| / sqrt(v_hat) stays below (1 - b1) / sqrt((1 - b2) (1 - b1^2 / b2)) = 7.3 (Cauchy-Schwarz)
_LARGEST_RATIO: Final = 8.0


def moments_after(m: Any, v: Any, gradient: Any) -> tuple[Any, Any]:
    """Return b1 m + (1 - b1) g and b2 v + (1 - b2) g^2 as new fp32 arrays of the same shape."""
    first = m * _fp32(BETA1) + gradient * _fp32(1.0 - BETA1)
    return first, v * _fp32(BETA2) + (gradient * gradient) * _fp32(1.0 - BETA2)


def adam_step(m: Any, v: Any, *, steps: int, lr: float, eps: float) -> Any:
    """Return lr m_hat / (sqrt(v_hat) + eps) in fp32, both moments corrected for their start at 0.

    Args:
        m: first moment after this step, fp32, any shape; NumPy array or torch tensor.
        v: second moment, the same shape.
        steps: steps taken, this one included, >= 1.
        lr: step size.
        eps: added to the root.

    Returns:
        What to add to the weights, where the gradients pointed downhill.
    """
    # powers by multiplication: the C library's pow may differ in the last bit
    correction1 = 1.0 - math.prod([BETA1] * steps)
    correction2 = 1.0 - math.prod([BETA2] * steps)
    # torch's fp32 root is not correctly rounded; by way of float64 it is
    root = np.sqrt(v) if isinstance(v, np.ndarray) else v.double().sqrt().float()
    return m * _fp32(lr / correction1) / (root * _fp32(1.0 / math.sqrt(correction2)) + _fp32(eps))


@dataclass(frozen=True)
class AdamState(MethodState):
    """Both moments and the number of steps taken."""

    m: Any  # (P,)
    v: Any  # (P,)
    steps: Any  # (1,)

    @classmethod
    def of(cls, state: MethodState | None, num_weights: int) -> AdamState | None:
        """Read a replica's state; None where no step has been taken."""
        return state_as(cls, state, (num_weights, num_weights, 1))


def empty_state(params: Parameters) -> AdamState:
    """Return moments of zero after no step, on the device of the weights."""
    first = as_numpy_if_possible(params.arrays[0])
    sizes = (params.num_elements, params.num_elements, 1)
    if isinstance(first, np.ndarray):
        return AdamState(*(np.zeros(size, dtype=np.float32) for size in sizes))
    return AdamState(*map(first.new_zeros, sizes))


def adam_on_grid_(
    params: Parameters,
    state: AdamState,
    update: FixedPointUpdate,
    grid: Grid,
    *,
    lr: float,
    eps: float,
) -> ReplayReport:
    """Take one step of Adam along a round's list in place (rule 11): g_i = s_i 2^f.

    Memory beyond the weights: the state's 2P and scratch of the largest tensor's size.

    Args:
        params: weights on the grid.
        state: :func:`empty_state`'s or an earlier step's; changed in place.
        update: the round's list; it points downhill.
        grid: the weights' exponents, widened in place where needed.
        lr: step size.
        eps: added to the root of the second moment.

    Returns:
        The share of zero increments and the tensors widened.

    Raises:
        GridError: a weight would leave the grid; neither weights nor state have changed.
    """
    step = _Step(steps=int(state.steps[0]) + 1, lr=lr, eps=eps)
    tensors = list(_tensors(params, state))
    reach = math.ldexp(_LARGEST_RATIO * lr, -int(grid.exponents.min()))
    if reach > MAX_K_IN_ROUND - MAX_K - 1:  # a weight might leave the grid: look before writing
        _check(params, [step.take_(t, update, grid, write=False) for t in tensors])
    found = [step.take_(t, update, grid, write=True) for t in tensors]
    _check(params, found)
    state.steps[0] = step.steps
    widened = widen_(params, grid, [int(largest) for largest, _ in found])
    zeros = sum(zero for _, zero in found)
    return ReplayReport(zero_share=zeros / params.num_elements, widened=tuple(widened))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tensor:
    index: int  # number in the stream
    weights: Any
    m: Any  # views of the state, of the weights' shape
    v: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    steps: int
    lr: float
    eps: float

    def take_(
        self, tensor: _Tensor, update: FixedPointUpdate, grid: Grid, *, write: bool
    ) -> tuple[float, int]:
        """Step one tensor; return its largest |k'| and how many increments were zero."""
        if 0 in tensor.m.shape:
            return 0.0, 0
        e = int(grid.exponents[tensor.index])
        with np.errstate(over="ignore", invalid="ignore"):  # a diverging run; the check tells
            m, v = moments_after(tensor.m, tensor.v, _gradient(tensor, update))
            step = adam_step(m, v, steps=self.steps, lr=self.lr, eps=self.eps)
            increment = (step * 2.0**-e).round()  # half to even
            k = tensor.weights * 2.0**-e + increment
        if write:
            tensor.m[...], tensor.v[...] = m, v
            tensor.weights[...] = k * 2.0**e
        return float(abs(k).max()), int((increment == 0).sum())


def _tensors(params: Parameters, state: AdamState) -> Iterator[_Tensor]:
    start = 0
    for index, (given, size) in enumerate(zip(params.arrays, params.sizes, strict=True)):
        weights = as_numpy_if_possible(given)
        m, v = (
            moment[start : start + size].reshape(weights.shape) for moment in (state.m, state.v)
        )
        yield _Tensor(index=index, weights=weights, m=m, v=v)
        start += size


def _gradient(tensor: _Tensor, update: FixedPointUpdate) -> Any:
    """Compute fl(s_i) 2^f: a plain replay into zeros, which adds nothing that could round."""
    on_host = isinstance(tensor.m, np.ndarray)
    scratch = (
        np.zeros(tensor.m.shape, np.float32) if on_host else tensor.m.new_zeros(tensor.m.shape)
    )
    nothing = scratch.reshape(-1)[:0]  # tensors of no elements keep the numbers before this one
    arrays = (*(nothing,) * tensor.index, scratch)
    kernels.replay(Parameters(names=("",) * len(arrays), arrays=arrays), update, None)
    return scratch


def _check(params: Parameters, found: Sequence[tuple[float, int]]) -> None:
    for name, (largest, _) in zip(params.names, found, strict=True):
        if not largest <= MAX_K_IN_ROUND:  # nan too
            raise GridError(
                f"parameter {name!r} would reach |k| = {largest:.0f} > 2^24 in one step of Adam; "
                "no weight has changed (lower zo_adam_lr: the run is diverging)"
            )


def _fp32(value: float) -> float:
    """Round a factor to fp32 once, so that NumPy and torch multiply by the same number."""
    return float(np.float32(value))
