"""A torch closure as the loss that the engine evaluates, with the same random numbers each time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from zo_core.estimators import LossFn

if TYPE_CHECKING:
    import torch

Closure: TypeAlias = "Callable[[], torch.Tensor | float]"


def loss_of(closure: Closure, *, devices: Iterable[torch.device]) -> LossFn:
    """Make a loss of a closure; every evaluation starts with the random state of now.

    Two forwards with two dropout masks would differ by the masks, not by the weights.

    Args:
        closure: returns the loss of a batch.
        devices: where the model is.
    """
    import torch

    on_cpu = torch.get_rng_state()
    on_cuda = {
        device: torch.cuda.get_rng_state(device) for device in devices if device.type == "cuda"
    }

    def loss() -> float:
        torch.set_rng_state(on_cpu)
        for device, state in on_cuda.items():
            torch.cuda.set_rng_state(state, device)
        return _value(closure)

    return loss


def _value(closure: Closure) -> float:
    try:
        loss = closure()
    except RuntimeError as error:
        if "does not require grad" not in str(error):
            raise
        raise RuntimeError(
            "closure must only return the loss: there is no gradient, so remove loss.backward()"
        ) from error
    if loss is None:
        raise TypeError("closure must return the loss, got None")
    return float(loss)
