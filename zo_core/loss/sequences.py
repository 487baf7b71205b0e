"""How well a language model answers: the loss of the answers' tokens, and how many it gets right.

Sequences are taken in order of length, so that a batch has little padding.
"""

from __future__ import annotations

import operator
from functools import reduce
from typing import TYPE_CHECKING

from zo_core.loss.items import UNLABELLED
from zo_core.loss.module_loss import cross_entropy, evaluating
from zo_core.loss.outputs import scores_of

if TYPE_CHECKING:
    import torch
    from torch import nn

_MICRO_BATCH = 16


def sequence_scores(
    module: nn.Module, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, float]:
    """Score a model's next tokens.

    Args:
        module: maps token ids to scores of the next token.
        x: token ids, (items, positions).
        y: next tokens, likewise, UNLABELLED where there is none to learn.

    Returns:
        The share of each item's labelled tokens that have the largest score, float64, (items,), on
        the CPU; the mean over items of the loss, summed in float64.
    """
    import torch

    labelled = y != UNLABELLED
    lengths = labelled.long().argmax(dim=1) + labelled.sum(dim=1)
    order = torch.argsort(lengths, stable=True)
    losses, shares = [], torch.empty(len(x), dtype=torch.float64)
    with torch.inference_mode(), evaluating(module):
        for items in torch.split(order, _MICRO_BATCH):
            outputs = scores_of(module(x[items]))
            losses.append(cross_entropy(outputs, y[items]).sum(dtype=torch.float64))
            shares[items.cpu()] = _right_shares(outputs, y[items]).cpu()
    return shares, float(reduce(operator.add, losses)) / len(x)


def _right_shares(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    y = y[:, : outputs.shape[1]]
    right = (outputs.argmax(dim=2) == y).sum(dim=1).double()
    return right / (y != UNLABELLED).sum(dim=1)
