"""What the checks share: one observed step, one at rate zero, and fresh cases."""

from __future__ import annotations

from functools import cached_property

import torch

from bench.audit.case import AuditCase, Factory, make_case
from bench.audit.observe import Observation, observe
from bench.audit.weights import Weights, rms, spacing

FIRST_LR = 1e-3
_LARGEST_LR = 1e6
_RESOLVED = 64.0  # a step this many times the weights' spacing is known to 1 %


class Evidence:
    """Gather what is known of a factory's step."""

    def __init__(self, factory: Factory, target: str | None, seed: int, lr: float | None) -> None:
        self.factory, self.target, self.seed = factory, target, seed
        self.first_case = make_case(factory, seed, FIRST_LR if lr is None else lr)
        self.lr, self.step = self._observed(lr)

    def case(self, *, seed: int | None = None, lr: float | None = None) -> AuditCase:
        """Make a fresh case, at the audited seed and rate unless told otherwise."""
        seed = self.seed if seed is None else seed
        return make_case(self.factory, seed, self.lr if lr is None else lr)

    @cached_property
    def still(self) -> Observation | None:
        """A step at rate zero; None where the implementation refuses that rate."""
        try:
            return observe(self.case(lr=0.0))
        except ValueError:
            return None

    def _observed(self, lr: float | None) -> tuple[float, Observation]:
        """Watch a step; unless the rate is given, raise it until the update can be resolved."""
        if lr is not None:
            return lr, observe(self.first_case)
        rate, seen = FIRST_LR, observe(self.first_case)
        while seen.moves and _resolution(seen) < _RESOLVED and rate < _LARGEST_LR:
            try:
                seen = observe(make_case(self.factory, self.seed, 10.0 * rate))
            except ValueError:  # the implementation refuses the larger rate
                break
            rate *= 10.0
        return rate, seen


def in_spacings(change: torch.Tensor, around: torch.Tensor) -> float:
    """Return the root mean square of a change in units of that of the numbers' spacing."""
    return rms(change) / (rms(spacing(around, around.dtype)) or 1.0)


def _resolution(seen: Observation) -> float:
    """Return the median over tensors of the update in spacings."""
    found = [_of_tensor(seen.start, seen.end, name) for name in seen.start]
    return float(torch.tensor(found).median())


def _of_tensor(start: Weights, end: Weights, name: str) -> float:
    change = end[name].double() - start[name].double()
    return in_spacings(change, torch.maximum(start[name].abs(), end[name].abs()))
