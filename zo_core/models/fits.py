"""Does a model serve a data set and a loss?  One trial forward, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from zo_core.loss.items import targets_of
from zo_core.loss.module_loss import Criterion, evaluating
from zo_core.loss.outputs import find_scores

_ITEMS = 2  # so that one number per batch is told from one per item


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a trial forward found."""

    taken: str  # the expression that takes the scores out of what forward returned


def try_forward(
    module: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    num_classes: int,
    criterion: Criterion,
    name: str,
) -> Trial:
    """Run a model and a loss on two items, without a gradient.

    Args:
        module: maps x to outputs; nothing of it changes.
        x: items, at least one.
        y: their targets.
        num_classes: the data set's.
        criterion: gives the loss of each item.
        name: names the model in messages.

    Raises:
        ValueError: the model does not take such items, returns scores for fewer classes, or the
            loss is not one finite number per item.
    """
    some = torch.arange(_ITEMS) % len(x)
    x, y = x[some], y[some]
    with torch.no_grad(), evaluating(module):
        outputs = _outputs(module, x, name)
        scores, taken = find_scores(outputs)
        if targets_of(y) != "values" and scores.ndim > 1 and scores.shape[-1] < num_classes:
            raise ValueError(
                f"model {name} must return scores for the data set's {num_classes} classes, got "
                f"{scores.shape[-1]} of shape {tuple(scores.shape)}"
            )
        _require_losses(criterion, outputs, y, name)
    return Trial(taken=taken)


def _outputs(module: nn.Module, x: torch.Tensor, name: str) -> Any:
    try:
        return module(x)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(
            f"model {name} does not take items of the data set's shape {tuple(x.shape[1:])}, "
            f"{x.dtype}: {problem}"
        ) from error


def _require_losses(criterion: Criterion, outputs: Any, y: torch.Tensor, name: str) -> None:
    try:
        losses = criterion(outputs, y)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(
            f"the loss cannot be computed from what model {name} returns and targets of shape "
            f"{tuple(y.shape)}, {y.dtype}: {problem}"
        ) from error
    if not isinstance(losses, torch.Tensor) or tuple(losses.shape) != (len(y),):
        got = tuple(losses.shape) if isinstance(losses, torch.Tensor) else type(losses).__name__
        raise ValueError(
            f"the loss must be one number per item, a tensor of shape ({len(y)},), got {got}; for "
            'a loss of torch give reduction="none"'
        )
