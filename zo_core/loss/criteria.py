"""Losses by name: cross entropy, squared error, or the user's own.

The user's own, ``package.module:function``, takes what the model's forward returned and the targets
of a batch, and returns one loss per item, (items,): for torch's losses, ``reduction="none"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zo_core.import_by_name import is_own, load_own
from zo_core.loss.items import Targets
from zo_core.loss.module_loss import Criterion, cross_entropy
from zo_core.loss.outputs import scores_of

if TYPE_CHECKING:
    import torch

CROSS_ENTROPY, SQUARED_ERROR = "cross-entropy", "mse"


def squared_error(outputs: Any, y: torch.Tensor) -> torch.Tensor:
    """Compute the squared error of each item, the mean over its numbers.

    Args:
        outputs: what forward returned; its scores have as many numbers per item as y.
        y: targets, (items,) or (items, ...).

    Raises:
        ValueError: outputs and targets have different sizes.
    """
    predicted = scores_of(outputs).reshape(len(y), -1)
    wanted = y.reshape(len(y), -1)
    if predicted.shape != wanted.shape:
        raise ValueError(
            f"the model must return {wanted.shape[1]} numbers per item for targets of shape "
            f"{tuple(y.shape)}, got {predicted.shape[1]}"
        )
    return (predicted - wanted).square().mean(dim=1)


def criterion_named(name: str) -> Criterion:
    """Return a loss by its name.

    Raises:
        ValueError: the name is unknown, or the user's own cannot be imported.
    """
    if name == CROSS_ENTROPY:
        return cross_entropy
    if name == SQUARED_ERROR:
        return squared_error
    if is_own(name):
        criterion: Criterion = load_own(name, "loss")
        return criterion
    raise ValueError(
        f"criterion must be {CROSS_ENTROPY}, {SQUARED_ERROR} or package.module:function, got "
        f"{name!r}"
    )


def require_criterion_fits(name: str, targets: Targets, dataset: str) -> None:
    """Check that a built-in loss goes with a data set's targets.

    Raises:
        ValueError: it does not.
    """
    if targets == "values" and name == CROSS_ENTROPY:
        raise ValueError(
            f"the targets of {dataset} are numbers, of which there is no cross entropy: add "
            f"--criterion {SQUARED_ERROR}, or package.module:function for a loss of your own"
        )
    if targets != "values" and name == SQUARED_ERROR:
        raise ValueError(
            f"the targets of {dataset} are classes, of which {SQUARED_ERROR} makes no sense: leave "
            "--criterion out, or store the targets as floats"
        )
