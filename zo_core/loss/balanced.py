"""Balanced softmax (Ren et al., "Balanced Meta-Softmax for Long-Tailed Visual Recognition", NeurIPS
2020, arXiv 2007.10740): cross entropy with the log prior of a client's labels added to the logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zo_core.loss.module_loss import Criterion, cross_entropy
from zo_core.loss.outputs import scores_of

if TYPE_CHECKING:
    import torch


def balanced_softmax(labels: torch.Tensor) -> Criterion:
    """Return the loss for a client with these labels.

    The prior of a class is (its labels + 1) / (all labels + classes), so that a class which the
    client lacks keeps a finite logit.

    Args:
        labels: of all the client's items, (items,).
    """

    def loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        scores = scores_of(outputs)
        counts = labels.bincount(minlength=scores.shape[1]) + 1
        return cross_entropy(scores + (counts / counts.sum()).log(), y)

    return loss
