"""A Hugging Face Trainer without backprop: a mixin that trains by :class:`zo_core.torch.ZOSGD`.

    from transformers import Trainer
    from zo_core.trainer import ForwardOnlyMixin

    class ForwardOnlyTrainer(ForwardOnlyMixin, Trainer):
        pass

The Trainer does all else: data, schedule, gradient accumulation, logging, checkpoints, resuming.
"""

from __future__ import annotations

from typing import Any

import torch

from zo_core.torch import ZOSGD


class ForwardOnlyMixin:
    """Replace a Trainer's backward pass; put it before ``Trainer`` in the list of bases.

    The optimizer is the one given to the Trainer (``optimizers=(ZOSGD(...), None)``), or a ZOSGD
    of all trainable parameters with ``args.learning_rate``.
    """

    def create_optimizer(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Make the optimizer where none was given.

        Raises:
            ValueError: a setting that has no meaning without gradients.
        """
        if self.optimizer is None:
            self.optimizer = ZOSGD(self.model.named_parameters(), lr=self.args.learning_rate)
        _check_settings(self)
        return super().create_optimizer(*args, **kwargs)  # type: ignore[misc]

    def training_step(
        self: Any, model: torch.nn.Module, inputs: dict[str, Any], *_args: Any, **_kwargs: Any
    ) -> torch.Tensor:
        """Estimate a batch's step by forwards only; ``optimizer.step()`` applies it.

        Returns:
            The loss to report, a scalar: the batch's share where batches are accumulated.
        """
        model.train()
        inputs = self._prepare_inputs(inputs)

        def loss() -> torch.Tensor:
            with self.compute_loss_context_manager():
                found: torch.Tensor = self.compute_loss(model, inputs)
            return found.mean()

        value = _unwrapped(self.optimizer).estimate(loss)
        return torch.tensor(
            value / self.current_gradient_accumulation_steps, device=self.args.device
        )


def _check_settings(trainer: Any) -> None:
    args = trainer.args
    if not isinstance(trainer.optimizer, ZOSGD):
        raise ValueError(
            f"the optimizer must be a zo_core.torch.ZOSGD, got {type(trainer.optimizer).__name__}; "
            "pass optimizers=(ZOSGD(...), None), or none"
        )
    for name, allowed in (("weight_decay", 0.0), ("fp16", False), ("world_size", 1)):
        if getattr(args, name) != allowed:
            raise ValueError(f"{name} must be {allowed} for ZOSGD, got {getattr(args, name)}")


def _unwrapped(optimizer: Any) -> ZOSGD:
    """Return the optimizer inside of accelerate's wrapper."""
    found: ZOSGD = getattr(optimizer, "optimizer", optimizer)
    return found
