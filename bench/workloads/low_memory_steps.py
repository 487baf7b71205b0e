"""Steps at less memory, as the suite measures them beside plain backprop and plain ZO.

The variants of backprop and ZO are those of :mod:`bench.step_variants`; ``backprop-last`` and
``backprop-bias-norm`` train one part of the model.

The variants take the same mathematical step as plain backprop or ZO, see
:mod:`zo_core.first_order.memory_efficient_backprop`; for the parts see
:mod:`zo_core.first_order.trainable_part`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.step_variants import BACKPROP_VARIANTS, FORWARD_VARIANTS, PLAIN

_BACKPROP = {variant.method: variant for variant in BACKPROP_VARIANTS}
_PARTS = {  # -> zo_core.first_order.trainable_part
    "backprop-last": "last-1",
    "backprop-bias-norm": "bias-norm",
}
_ZO = {variant.method: variant.micro_batch for variant in FORWARD_VARIANTS}
LOW_MEMORY_STEPS = (*_BACKPROP, *_PARTS, *_ZO)


def bind_low_memory_step(
    module: Any, x: Any, y: Any, method: str, *, lr: float
) -> Callable[[], object]:
    """Return one step of a memory-efficient variant of backprop over all of x.

    Args:
        module: a model.
        x: a batch.
        y: its labels.
        method: a name in LOW_MEMORY_STEPS that begins with "backprop".
        lr: learning rate.
    """
    from zo_core.first_order.memory_efficient_backprop import backprop_step

    if method in _PARTS:
        return _bind_part(module, x, y, _PARTS[method], lr=lr)
    variant = _BACKPROP[method]
    take_step_ = backprop_step(variant.backprop or PLAIN, micro_batch=variant.micro_batch)

    def step() -> None:
        module.train()
        take_step_(module, x, y, lr=lr)

    return step


def _bind_part(module: Any, x: Any, y: Any, part: str, *, lr: float) -> Callable[[], object]:
    from zo_core.first_order.sgd import sgd_step_
    from zo_core.first_order.trainable_part import freeze_others, trained_tensors

    tensors = trained_tensors(module, part)

    def step() -> None:
        module.train()
        with freeze_others(module, tensors):
            sgd_step_(module, x, y, lr=lr)

    return step


def micro_batch_of(method: str) -> int | None:
    """Return the items a forward that a ZO step's name sets; None for all others."""
    return _ZO.get(method)
