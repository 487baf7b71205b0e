"""What restore error does to a language model: cycles without a step, then MeZO's steps.

A small model learns to count by backprop in float32; then its weights are taken to a dtype and
perturbed and restored along fresh directions, or trained on by zeroth-order steps.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

MODES = ("float32-grid", "float32", "bfloat16")
EPSILON = 1e-3  # MeZO's
_STEPS, _LR = 150, 0.5  # of backprop
_TOKENS, _ITEMS = 8, 8
_SEED = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionRun:
    """What came of a mode: mean losses."""

    before: float
    after_cycles: float  # without a step
    after_steps: float  # from the start
    changed: float  # share of weights that the cycles changed


def compare_precisions(cycles: int, steps: int, lr: float) -> dict[str, PrecisionRun]:
    """Say what the loss is before, after cycles without a step, and after steps from the start.

    Args:
        cycles: of perturbing by +eps, -2 eps, +eps.
        steps: of ZO-SGD, one direction each.
        lr: of these steps.

    Returns:
        What came of each of MODES.
    """
    x, y = _counting()
    learnt = _learnt(x, y)
    return {mode: _of_mode(mode, deepcopy(learnt), cycles, steps, lr) for mode in MODES}


def _of_mode(mode: str, learnt: Any, cycles: int, steps: int, lr: float) -> PrecisionRun:
    import torch

    from zo_core import ZOSGD, perturb_, snap_
    from zo_core.loss.module_loss import mean_loss

    x, y = _counting()
    learnt.to(getattr(torch, mode.removesuffix("-grid")))
    grid = snap_(learnt) if mode.endswith("-grid") else None
    start = [p.detach().clone() for p in learnt.parameters()]
    before = mean_loss(learnt, x, y)
    for seed in range(cycles):
        for scale in (2.0**-10, -(2.0**-9), 2.0**-10):  # eps, a number of every grid
            perturb_(learnt, seed, scale)
    after_cycles = mean_loss(learnt, x, y)
    changed = sum(int((p != q).sum()) for p, q in zip(learnt.parameters(), start, strict=True))
    with torch.no_grad():
        for parameter, value in zip(learnt.parameters(), start, strict=True):
            parameter.copy_(value)
    optimizer = ZOSGD(learnt, lr=lr, epsilon=EPSILON, run_seed=_SEED, grid=grid)
    for _ in range(steps):
        optimizer.step(lambda: mean_loss(learnt, x, y))
    return PrecisionRun(
        before=before,
        after_cycles=after_cycles,
        after_steps=mean_loss(learnt, x, y),
        changed=changed / sum(p.numel() for p in learnt.parameters()),
    )


def _counting() -> tuple[Any, Any]:
    """Make sequences that count upwards from different starts, modulo 97."""
    import torch

    ids = (torch.arange(_TOKENS + 1) + 3 * torch.arange(_ITEMS)[:, None]) % 97
    return ids[:, :-1], ids[:, 1:]


def _learnt(x: Any, y: Any) -> Any:
    """Train the small model until it counts tolerably."""
    from zo_core.first_order.sgd import sgd_step_
    from zo_core.models.lm import build_lm

    model = build_lm("tiny-llama", run_seed=_SEED)
    model.train()
    for _ in range(_STEPS):
        sgd_step_(model, x, y, lr=_LR)
    model.eval()
    return model
