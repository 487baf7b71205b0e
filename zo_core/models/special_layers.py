"""Parts of a model that zeroth-order training treats otherwise than a user may expect."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_QUANTISED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")


def remarks_of(module: nn.Module) -> list[str]:
    """List what to know of a model before it is trained, a sentence each."""
    remarks = []
    if packed := packed_layers(module):
        remarks.append(
            f"{', '.join(packed)}: packed integer weights are not Parameters: they stay as they are"
        )
    if norms := batch_statistics_layers(module):
        remarks.append(
            f"{', '.join(norms)}: batch norm without running statistics takes those of each batch: "
            "an item's loss and accuracy depend on the others in its batch"
        )
    return remarks


def packed_layers(module: nn.Module) -> list[str]:
    """List the layers whose weights are packed integers, by name and class."""
    return [
        f"{name or 'the model'} ({type(part).__name__})"
        for name, part in module.named_modules()
        if type(part).__module__.startswith(_QUANTISED) and hasattr(part, "scale")
    ]


def batch_statistics_layers(module: nn.Module) -> list[str]:
    """List the batch norms that take their statistics from the batch in evaluation too."""
    return [
        name
        for name, part in module.named_modules()
        if isinstance(part, _BatchNorm) and not part.track_running_stats
    ]


def require_micro_batches(module: nn.Module, micro_batch: int | None) -> None:
    """Refuse micro-batches for a model whose loss they would change.

    Raises:
        ValueError: a layer takes its statistics from the batch.
    """
    norms = batch_statistics_layers(module)
    if micro_batch is not None and norms:
        raise ValueError(
            f"micro_batch must be left out with batch norm that has track_running_stats=False "
            f"({', '.join(norms)}), got {micro_batch}: its loss over micro-batches is another "
            "than over the whole batch; or use group norm"
        )


def require_trainable(module: nn.Module) -> None:
    """Refuse a model without a floating-point parameter, naming what its weights are instead.

    Raises:
        ValueError: there is nothing to train.
    """
    if any(p.requires_grad for p in module.parameters()):
        return
    packed = packed_layers(module)
    why = f": {', '.join(packed)} hold packed integer weights" if packed else ""
    raise ValueError(
        f"the model has no trainable parameter{why}; train it before it is quantised, or set "
        "requires_grad=True on the parameters to train"
    )
