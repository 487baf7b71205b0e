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
import numpy.typing as npt

from zo_core import kernels
from zo_core.fixed_point import FixedPointUpdate
from zo_core.kernels.resumable_pass import Journal, Pass
from zo_core.optimizer import ReplayReport
from zo_core.parameters import Parameters, as_numpy_if_possible
from zo_core.state import MethodState, state_as
from zo_core.weight_grid import MAX_K, MAX_K_IN_ROUND, Grid, GridError, widen_from_

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


def adam_pass(
    params: Parameters,
    state: AdamState,
    update: FixedPointUpdate,
    grid: Grid,
    *,
    lr: float,
    eps: float,
) -> Pass[ReplayReport]:
    """Prepare a step of Adam along a round's list, in place (rule 11): g_i = s_i 2^f.

    Calling the result again finishes an interrupted step.  Memory beyond the weights: the state's
    2P and scratch of the largest tensor's size.

    Raises:
        GridError: a weight would leave the grid; no step is taken then.
    """
    step = _Step(
        update=update,
        exponents=grid.exponents.copy(),
        steps=int(state.steps[0]) + 1,
        lr=lr,
        eps=eps,
    )
    tensors = [tensor for tensor in _tensors(params, state) if 0 not in tensor.m.shape]
    if _may_leave(params, step):
        _check(params, tensors, step)
    found, journal = [(0, 0)] * len(params.arrays), Journal()

    def write(tensor: _Tensor, new: _Stepped) -> None:
        tensor.m[...], tensor.v[...], tensor.weights[...] = new.m, new.v, new.weights
        found[tensor.index] = int(new.largest), new.zeros

    def run() -> ReplayReport:
        journal.each(tensors, step.of, write)
        state.steps[0] = step.steps
        widened = widen_from_(params, grid, step.exponents, [largest for largest, _ in found])
        zeros = sum(zeros for _, zeros in found)
        return ReplayReport(zero_share=zeros / params.num_elements, widened=tuple(widened))

    return run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tensor:
    index: int  # number in the stream
    weights: Any
    m: Any  # views of the state, of the weights' shape
    v: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stepped:
    """A tensor after the step: copies."""

    weights: Any
    m: Any
    v: Any
    largest: float  # |k|; not finite where the run diverges
    zeros: int  # increments that rounded to zero


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    update: FixedPointUpdate
    exponents: npt.NDArray[np.int32]  # before the step
    steps: int
    lr: float
    eps: float

    def of(self, tensor: _Tensor) -> _Stepped:
        """Step one tensor; nothing of it changes."""
        e = int(self.exponents[tensor.index])
        with np.errstate(over="ignore", invalid="ignore"):  # a diverging run; the check tells
            m, v = moments_after(tensor.m, tensor.v, _gradient(tensor, self.update))
            step = adam_step(m, v, steps=self.steps, lr=self.lr, eps=self.eps)
            increment = (step * 2.0**-e).round()  # half to even
            k = tensor.weights * 2.0**-e + increment
        return _Stepped(
            weights=k * 2.0**e,
            m=m,
            v=v,
            largest=float(abs(k).max()),
            zeros=int((increment == 0).sum()),
        )


def _may_leave(params: Parameters, step: _Step) -> bool:
    """Tell whether a weight might leave the grid; if not, looking before writing is saved."""
    reach = math.ldexp(_LARGEST_RATIO * step.lr, -int(step.exponents.min()))
    overflows = step.update.f > 30  # |g| < 2^(f + 31), whose square float32 holds
    return reach > MAX_K_IN_ROUND - MAX_K - 1 or overflows or not _is_on_grid(params, step)


def _is_on_grid(params: Parameters, step: _Step) -> bool:
    ends = [math.ldexp(MAX_K, int(e)) for e in step.exponents]
    return all(kernels.max_abs(span) <= ends[span.tensor_index] for span in params.spans)


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


def _check(params: Parameters, tensors: Sequence[_Tensor], step: _Step) -> None:
    for tensor in tensors:
        largest = step.of(tensor).largest
        if not largest <= MAX_K_IN_ROUND:  # nan too
            raise GridError(
                f"parameter {params.names[tensor.index]!r} would reach |k| = {largest:.0f} > 2^24 "
                "in one step of Adam; no weight has changed (lower zo_adam_lr: the run is "
                "diverging)"
            )


def _fp32(value: float) -> float:
    """Round a factor to fp32 once, so that NumPy and torch multiply by the same number."""
    return float(np.float32(value))
