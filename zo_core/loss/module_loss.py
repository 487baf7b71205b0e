"""The loss of a torch module over a client's data, in micro-batches, summed in float64.

Torch is imported by the functions, so that whoever only names a method needs none.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from typing import TYPE_CHECKING, TypeAlias

from zo_core.loss.items import UNLABELLED
from zo_core.loss.outputs import scores_of
from zo_core.loss.passes import count_passes

if TYPE_CHECKING:
    import torch
    from torch import nn

# (what forward returned, y) -> (items,)
Criterion: TypeAlias = "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]"

_LEAST_CLASSES = 2


def cross_entropy(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Compute the cross entropy of each item, in float32 where the outputs are of fewer bits.

    Args:
        outputs: what forward returned; its scores (see zo_core.loss.outputs) are (items, classes),
            or (items, positions, classes) of a sequence.
        y: targets, (items,), or (items, positions) with :data:`UNLABELLED` where there is none;
            positions beyond the outputs' are padding.

    Returns:
        (items,); of a sequence the mean over its labelled positions.

    Raises:
        ValueError: outputs or targets of another kind, which this loss would misread.
    """
    import torch.nn.functional as F

    outputs = scores_of(outputs)
    _check_kind(outputs, y)
    if y.ndim == 1:
        return F.cross_entropy(outputs, y, reduction="none")
    y = y[:, : outputs.shape[1]]
    scores = outputs.reshape(-1, outputs.shape[-1]).float()  # bfloat16 would round the loss to 2^-8
    losses = F.cross_entropy(scores, y.reshape(-1), ignore_index=UNLABELLED, reduction="none")
    return losses.view_as(y).sum(dim=1) / (y != UNLABELLED).sum(dim=1)


def _check_kind(outputs: torch.Tensor, y: torch.Tensor) -> None:
    """Raise a ValueError unless outputs are scores of classes, for items or their positions."""
    expected = "a tensor of scores (items, classes), or (items, positions, classes) of a sequence"
    remedy = "return such scores from forward, or pass a criterion of your own"
    shape = outputs.shape
    whole = not y.is_floating_point() and not y.is_complex()
    if y.ndim not in {1, 2} or len(shape) != y.ndim + 1 or shape[0] != len(y) or not whole:
        raise ValueError(
            f"outputs must be {expected} and y whole class numbers, one per item or position, got "
            f"outputs of shape {tuple(shape)} and {y.dtype} y of shape {tuple(y.shape)}; {remedy}"
        )
    if shape[-1] < _LEAST_CLASSES:
        raise ValueError(
            f"outputs must have scores of two classes or more, got shape {tuple(shape)}, of which "
            f"cross entropy is always 0; {remedy}"
        )


def mean_loss(
    module: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    micro_batch: int | None = None,
    criterion: Criterion = cross_entropy,
) -> float:
    """Compute the mean loss over all items by forwards alone, keeping no activation.

    The module runs in evaluation mode, so that no forward, perturbed or not, touches a running
    statistic; that also makes the micro-batched loss equal the whole batch's up to rounding.

    Args:
        module: maps x to outputs.
        x: inputs, (items, ...).
        y: targets, (items, ...).
        micro_batch: items a forward; None for all at once.
        criterion: gives the loss of each item.

    Returns:
        The mean, summed in float64.

    Raises:
        ValueError: no items, or micro_batch < 1.
    """
    import torch

    count_passes(forward=len(x))
    with torch.inference_mode(), evaluating(module):
        sums = (
            summed_in_float64(criterion(module(inputs), targets))
            for inputs, targets in micro_batches(x, y, micro_batch)
        )
        return float(reduce(operator.add, sums)) / len(x)


def summed_in_float64(losses: torch.Tensor) -> torch.Tensor:
    """Sum losses in float64: on the host where the device has none, as Apple's GPUs."""
    import torch

    return (losses.cpu() if losses.device.type == "mps" else losses).sum(dtype=torch.float64)


def correct_items(
    module: nn.Module, x: torch.Tensor, y: torch.Tensor, *, micro_batch: int = 512
) -> torch.Tensor:
    """Tell of each item whether its largest output is at its label: bool, (items,), on the CPU."""
    import torch

    with torch.inference_mode(), evaluating(module):
        hits = [
            scores_of(module(inputs)).argmax(dim=1) == labels
            for inputs, labels in micro_batches(x, y, micro_batch)
        ]
        return torch.cat(hits).cpu()


def micro_batches(
    x: torch.Tensor, y: torch.Tensor, size: int | None
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Cut a batch into views of at most size items; None for one view of all.

    Raises:
        ValueError: no items, or size < 1.
    """
    if len(x) == 0:
        raise ValueError("the loss of no items does not exist; give every client data")
    if size is not None and size < 1:
        raise ValueError(f"micro_batch must be >= 1 or None, got {size}")
    step = size or len(x)
    return ((x[i : i + step], y[i : i + step]) for i in range(0, len(x), step))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put the module and all within it in evaluation mode; afterwards each has its own again.

    torch's attention fast path is off meanwhile: it would store the whole score matrix, where the
    operator that training runs does not.
    """
    import torch

    training = [part for part in _parts(module) if part.training]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    if training:
        module.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for part in training:
            part.training = True


def _parts(module: nn.Module) -> list[nn.Module]:
    """List the module and all within it: the work of ``modules()`` in a tenth of its time."""
    parts = [module]
    for part in parts:  # grows meanwhile
        parts.extend(child for child in part._modules.values() if child is not None)
    return parts
