"""Steps at less memory, as the suite measures them beside plain backprop and plain ZO.

| name | the step |
|---|---|
| backprop-accumulated | FedAvg's, gradients over micro-batches of 8 |
| backprop-checkpointed | FedAvg's, blocks' inputs kept alone |
| backprop-accumulated-checkpointed | FedAvg's, both |
| backprop-least | FedAvg's, both, one item at a time |
| backprop-layerwise | FedAvg's, checkpointed, each weight stepped as its gradient appears |
| backprop-last | FedAvg's on the last layer alone |
| backprop-bias-norm | FedAvg's on biases and norms alone |
| zo-by-8, zo-by-1 | ZO's, in micro-batches |

All of the first five take the same mathematical step, and so do the last two and ZO; see
:mod:`zo_core.first_order.memory_efficient_backprop` and, of the two between,
:mod:`zo_core.first_order.trainable_part`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MICRO_BATCH = 8  # of those that accumulate, unless their name says another
_BACKPROP = {  # name -> name in BACKPROP, items a forward
    "backprop-accumulated": ("accumulated", MICRO_BATCH),
    "backprop-checkpointed": ("checkpointed", None),
    "backprop-accumulated-checkpointed": ("accumulated-checkpointed", MICRO_BATCH),
    "backprop-least": ("accumulated-checkpointed", 1),
    "backprop-layerwise": ("layerwise", None),
}
_PARTS = {
    "backprop-last": "last-1",
    "backprop-bias-norm": "bias-norm",
}  # -> zo_core.first_order.trainable_part
_ZO = {"zo-by-8": 8, "zo-by-1": 1}  # name -> items a forward
FRUGAL_METHODS = (*_BACKPROP, *_PARTS, *_ZO)


def bind_frugal(module: Any, x: Any, y: Any, method: str, *, lr: float) -> Callable[[], object]:
    """Return one step of a frugal way of backprop over all of x.

    Args:
        module: a model.
        x: a batch.
        y: its labels.
        method: a name in FRUGAL_METHODS that begins with "backprop".
        lr: learning rate.
    """
    from zo_core.first_order.memory_efficient_backprop import backprop_step

    if method in _PARTS:
        return _bind_part(module, x, y, _PARTS[method], lr=lr)
    name, micro_batch = _BACKPROP[method]
    take_step_ = backprop_step(name, micro_batch=micro_batch)

    def step() -> None:
        module.train()
        take_step_(module, x, y, lr=lr)

    return step


def _bind_part(module: Any, x: Any, y: Any, part: str, *, lr: float) -> Callable[[], object]:
    from zo_core.first_order.sgd import sgd_step_
    from zo_core.first_order.trainable_part import trained_tensors, training_only

    tensors = trained_tensors(module, part)

    def step() -> None:
        module.train()
        with training_only(module, tensors):
            sgd_step_(module, x, y, lr=lr)

    return step


def micro_batch_of(method: str) -> int | None:
    """Return the items a forward that a ZO step's name sets; None for all others."""
    return _ZO.get(method)
