"""The loss of a case, as a number, without a gradient."""

from __future__ import annotations

import torch

from bench.audit.case import AuditCase
from bench.audit.weights import Weights, copy, holding, untrained


def loss_of(case: AuditCase) -> float:
    """Compute the loss at the present weights.

    Raises:
        ValueError: it raised, or returned something that is not a number.
    """
    assert case.loss is not None
    try:
        with torch.no_grad():
            return float(case.loss())
    except Exception as error:
        raise ValueError(f"loss() failed with {type(error).__name__}: {error}") from error


def loss_at(case: AuditCase, weights: Weights) -> float:
    """Compute the loss at other weights; the module's own return, and its buffers with them."""
    kept = copy(untrained(case.module))
    with holding(case.module, weights):
        value = loss_of(case)
    with torch.no_grad():
        for name, tensor in untrained(case.module).items():
            tensor.copy_(kept[name])
    return value
