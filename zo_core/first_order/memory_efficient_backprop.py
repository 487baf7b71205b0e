"""FedAvg's step at less memory: each variant takes w -= lr * grad of the batch's mean loss.

| name | held at the peak, beside the weights | paid with |
|---|---|---|
| plain | all activations, all gradients | |
| accumulated | one micro-batch's activations, all gradients | smaller operations |
| checkpointed | the blocks' inputs and one block's activations, all gradients | a second forward |
| accumulated-checkpointed | the same of one micro-batch, all gradients | both |
| layerwise | the blocks' inputs and one block's activations, one gradient | a second forward |

Layer by layer, each weight is stepped as soon as its gradient is whole, and the gradient is freed:
the idea of MeBP ("Memory-Efficient Backpropagation for Fine-Tuning LLMs on Resource-Constrained
Mobile Devices", arXiv 2510.03425).  A gradient that is whole only after the last micro-batch
cannot be freed before it, so micro-batches and this do not go together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from zo_core.first_order.sgd import SGDStep, sgd_step_, step_
from zo_core.loss.module_loss import Criterion, cross_entropy, micro_batches

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Backprop:
    """What a variant of backprop saves memory by."""

    accumulates: bool = False  # gradients over micro-batches
    checkpoints: bool = False  # activations: blocks' inputs alone are kept
    frees: bool = False  # each gradient as soon as its weight has been stepped


BACKPROP: dict[str, Backprop] = {
    "plain": Backprop(),
    "accumulated": Backprop(accumulates=True),
    "checkpointed": Backprop(checkpoints=True),
    "accumulated-checkpointed": Backprop(accumulates=True, checkpoints=True),
    "layerwise": Backprop(checkpoints=True, frees=True),
}


def backprop_step(name: str, *, micro_batch: int | None = None) -> SGDStep:
    """Choose how the first-order step is taken.

    Args:
        name: a name in BACKPROP.
        micro_batch: items a forward, where gradients are accumulated; of no use elsewhere.

    Returns:
        What :func:`zo_core.first_order.sgd.local_sgd_` takes as its step.

    Raises:
        ValueError: the name is unknown, or it accumulates and micro_batch is None.
    """
    check_backprop(name, micro_batch)
    if name == "plain":
        return sgd_step_
    return partial(memory_efficient_step_, variant=BACKPROP[name], micro_batch=micro_batch)


def check_backprop(name: str, micro_batch: int | None) -> None:
    """Raise the ValueErrors of :func:`backprop_step`."""
    if name not in BACKPROP:
        raise ValueError(f"unknown backprop {name!r}; known: {', '.join(BACKPROP)}")
    if BACKPROP[name].accumulates and micro_batch is None:
        raise ValueError(
            f"micro_batch must be >= 1 with backprop={name!r}, got None (how many items a forward "
            "takes; or use backprop='checkpointed')"
        )


def memory_efficient_step_(
    module: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    lr: float,
    variant: Backprop,
    micro_batch: int | None = None,
    criterion: Criterion = cross_entropy,
) -> None:
    """Take the first-order step w -= lr * grad over a batch, in place, and free the gradient.

    It equals :func:`zo_core.first_order.sgd.sgd_step_` up to rounding; dropped units aside where
    gradients are accumulated, since each micro-batch draws its own.

    Args:
        module: maps x to outputs.
        x: inputs, (items, ...).
        y: targets, (items, ...).
        lr: learning rate.
        variant: how memory is saved.
        micro_batch: items a forward, where gradients are accumulated; None for all at once.
        criterion: gives the loss of each item; the step descends its mean.

    Raises:
        ValueError: gradients are accumulated though a layer takes its statistics from the batch,
            which micro-batches change; or the module has no block to checkpoint.
    """
    from zo_core.first_order.activation_checkpointing import checkpointing

    if variant.accumulates:
        _require_items_apart(module)
    with ExitStack() as stack:
        if variant.checkpoints:
            stack.enter_context(checkpointing(module))
        if variant.frees:
            stack.enter_context(_stepping_as_gradients_appear(module, lr))
        for inputs, targets in micro_batches(x, y, micro_batch if variant.accumulates else None):
            part = criterion(module(inputs), targets).sum() / len(x)
            part.backward()  # type: ignore[no-untyped-call]
    step_(module, lr=lr)


@contextmanager
def _stepping_as_gradients_appear(module: nn.Module, lr: float) -> Iterator[None]:
    import torch

    def step_one_(parameter: torch.Tensor) -> None:
        with torch.no_grad():
            assert parameter.grad is not None
            parameter.add_(parameter.grad, alpha=-lr)
        parameter.grad = None

    hooks = [
        parameter.register_post_accumulate_grad_hook(step_one_)  # type: ignore[no-untyped-call]
        for parameter in module.parameters()
        if parameter.requires_grad
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _require_items_apart(module: nn.Module) -> None:
    from torch.nn.modules.batchnorm import _BatchNorm

    for name, part in module.named_modules():
        if isinstance(part, _BatchNorm) and (part.training or not part.track_running_stats):
            raise ValueError(
                f"backprop must not accumulate over micro-batches where a layer takes its "
                f"statistics from the batch, got BatchNorm {name!r} (use norm='group', or "
                "backprop='checkpointed' or 'layerwise')"
            )
