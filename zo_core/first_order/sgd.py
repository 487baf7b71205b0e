"""First-order local training: what a capable client does in a FedAvg round."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from zo_core.loss.module_loss import Criterion, cross_entropy, micro_batches
from zo_core.loss.passes import count_passes
from zo_core.philox import Purpose, random_permutations

if TYPE_CHECKING:
    import torch
    from torch import nn


class SGDStep(Protocol):
    """Take one first-order step; variants are in ``memory_efficient_backprop``."""

    def __call__(
        self,
        module: nn.Module,
        x: torch.Tensor,
        y: torch.Tensor,
        *,
        lr: float,
        criterion: Criterion = ...,
    ) -> None:
        """Take w -= lr * grad of the batch's mean loss in place, and free the gradient."""


# the module whose plain steps are taken otherwise here, and how
_stepping: ContextVar[tuple[nn.Module, SGDStep] | None] = ContextVar("stepping", default=None)


@contextmanager
def stepping_by(module: nn.Module, step: SGDStep) -> Iterator[None]:
    """Take the plain steps of local training on a module by another step inside the context.

    Args:
        module: this very one; its copies keep the plain step.
        step: equals :func:`sgd_step_` in what it computes.
    """
    token = _stepping.set((module, step))
    try:
        yield
    finally:
        _stepping.reset(token)


def local_sgd_(
    module: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    lr: float,
    epochs: int,
    batch_size: int,
    run_seed: int,
    round_index: int,
    client_id: int,
    criterion: Criterion = cross_entropy,
    step: SGDStep | None = None,
    training_mode: bool = True,
) -> None:
    """Train a module in place by SGD over shuffled batches.

    Args:
        module: maps x to outputs; its trainable parameters and buffers change.
        x: the client's inputs, (items, ...).
        y: the client's targets, (items, ...).
        lr: client learning rate, > 0.
        epochs: passes over the data.
        batch_size: items a step; the last batch of an epoch may be smaller.
        run_seed: the run's seed; the order of items follows from it, the round and the client.
        round_index: federated round.
        client_id: the client's slot.
        criterion: gives the loss of each item; a step descends its mean.
        step: takes each step; None for :func:`sgd_step_`.
        training_mode: False for evaluation mode: running statistics are used and left alone.
    """
    import torch

    take_step_ = _plain_step_of(module) if step is None or step is sgd_step_ else step
    orders = random_permutations(
        run_seed, Purpose.SHUFFLE, len(x), rows=epochs, a=round_index, b=client_id
    )
    module.train(training_mode)
    # without waiting for the device: nothing else in a client's training does
    for order in torch.from_numpy(orders).to(x.device, non_blocking=True):
        for inputs, targets in micro_batches(x[order], y[order], batch_size):
            count_passes(forward=len(inputs), backward=len(inputs))
            take_step_(module, inputs, targets, lr=lr, criterion=criterion)


def _plain_step_of(module: nn.Module) -> SGDStep:
    stepping = _stepping.get()
    return stepping[1] if stepping is not None and stepping[0] is module else sgd_step_


def sgd_step_(
    module: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    lr: float,
    criterion: Criterion = cross_entropy,
) -> None:
    """Take one first-order step, w -= lr * grad, and free the gradient."""
    criterion(module(x), y).mean().backward()  # type: ignore[no-untyped-call]
    step_(module, lr=lr)


def step_(module: nn.Module, *, lr: float) -> None:
    """Take w -= lr * grad with the gradients that are there, and free them.

    Plain SGD is written out here because ``torch.optim`` imports a compiler: 150 MiB of resident
    memory that would be counted against backprop without being its own.
    """
    import torch

    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.add_(parameter.grad, alpha=-lr)
                parameter.grad = None
