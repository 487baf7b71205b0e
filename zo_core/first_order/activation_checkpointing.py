"""Activation checkpointing: keep each block's input, and compute what is inside it once more.

Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016, arXiv 1604.06174.  torch has it
as ``torch.utils.checkpoint``, which imports a compiler when it is called: 150 MiB of resident
memory that would be counted against backprop without being its own.  Here it is the same idea on
the same hooks: autograd saves a number in the place of each tensor, and the first number that is
asked for runs the block again.

What a block is follows from the model's structure, in this order:

- a ``Sequential`` of plain layers: each stretch of it that begins at a layer whose weight has two
  dimensions or more (a convolution, a linear layer), so that what follows in place is within it;
- a ``Sequential`` or ``ModuleList`` with larger modules in it: those modules, each by these rules;
- a module with such a list somewhere within (a whole encoder): what is in its lists;
- any other module of several layers that is not the model itself: the module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

Forward = Callable[..., Any]


@contextmanager
def checkpointing(module: nn.Module) -> Iterator[None]:
    """Within this context, the module's forwards keep no activation but its blocks' inputs.

    Gradients, running statistics and random masks (dropout) are those of plain training.  A
    backward must happen within the context as well, and once; autocast is not carried over.

    Args:
        module: any module; its blocks are found by the rules at the head of this file.

    Raises:
        ValueError: the module has no block: there is nothing to keep less of.
    """
    found = list(blocks(module))
    if not found:
        raise ValueError(
            f"{type(module).__name__} has no block to checkpoint: put its layers in a Sequential, "
            "or in modules of several layers (or train with backprop='plain')"
        )
    with ExitStack() as stack:
        for block in found:
            stack.enter_context(_replaced_forward(block, _forward_of(block)))
        yield


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Find a model's blocks in the order of its modules; a flat ``Sequential`` stands for its
    stretches.
    """
    if _is_flat(module):
        yield module
        return
    for child in module.children():
        if _is_leaf(child):
            continue
        if _is_list(child) or _is_flat(child) or any(map(_holds_blocks, child.modules())):
            yield from blocks(child)
        else:
            yield child


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _is_list(module: nn.Module) -> bool:
    """Tell a container that calls its modules one after the other, or leaves that to its owner."""
    is_plain_sequential = type(module).forward is nn.Sequential.forward
    return is_plain_sequential or isinstance(module, nn.ModuleList)


def _is_flat(module: nn.Module) -> bool:
    """Tell a Sequential of plain layers that has something to train."""
    is_plain_sequential = type(module).forward is nn.Sequential.forward
    return is_plain_sequential and all(map(_is_leaf, module.children())) and bool(_starts(module))


def _holds_blocks(module: nn.Module) -> bool:
    return _is_list(module) and any(not _is_leaf(child) for child in module.children())


def _starts(sequential: nn.Module) -> list[int]:
    weights = [getattr(layer, "weight", None) for layer in sequential.children()]
    return [i for i, weight in enumerate(weights) if weight is not None and weight.ndim >= 2]


def _forward_of(block: nn.Module) -> Forward:
    """Make the forward that a block has within the context."""
    if not _is_flat(block):
        return _checkpointed(block.forward, [block])
    layers = list(block.children())
    ends = [0, *_starts(block)[1:], len(layers)]
    stretches = [layers[start:end] for start, end in pairwise(ends)]
    return _in_order([_checkpointed(_in_order(stretch), stretch) for stretch in stretches])


def _in_order(layers: Sequence[Any]) -> Forward:
    def forward(x: Any) -> Any:
        for layer in layers:
            x = layer(x)
        return x

    return forward


@contextmanager
def _replaced_forward(block: nn.Module, forward: Forward) -> Iterator[None]:
    own = block.__dict__.get("forward")  # a forward of the instance itself, set by its owner
    block.forward = forward
    try:
        yield
    finally:
        del block.forward
        if own is not None:
            block.forward = own


def _checkpointed(forward: Forward, modules: Sequence[nn.Module]) -> Forward:
    """Make a forward that keeps its arguments alone; the modules are what it runs."""

    def run(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        again = _Recomputation(partial(forward, *args, **kwargs), modules)
        with saved_tensors_hooks(again.pack, again.unpack):
            return forward(*args, **kwargs)

    return run


class _Recomputation:
    """One call of a block: numbers in the place of what autograd saves, until backward asks."""

    def __init__(self, call: partial[Any], modules: Sequence[nn.Module]) -> None:
        self._call, self._modules = call, modules
        given = (*call.args, *call.keywords.values())
        self._inputs = [each for each in given if isinstance(each, torch.Tensor)]
        self._versions = [tensor._version for tensor in self._inputs]
        self._random = _RandomState(self._inputs)
        self._count = 0
        self._saved: dict[int, torch.Tensor] | None = None

    def pack(self, _tensor: torch.Tensor) -> int:
        """Keep the tensor's number alone."""
        self._count += 1
        return self._count - 1

    def unpack(self, number: int) -> torch.Tensor:
        """Give a tensor and forget it; all of the block's come back with the first one."""
        if self._saved is None:
            self._saved = self._recomputed()
        return self._saved.pop(number)

    def _recomputed(self) -> dict[int, torch.Tensor]:
        if [tensor._version for tensor in self._inputs] != self._versions:
            raise RuntimeError(
                "a block's input was changed in place after the block had read it, so that the "
                "block cannot be computed again (take inplace=True out of what changes it, or "
                "train with backprop='plain')"
            )
        saved: dict[int, torch.Tensor] = {}

        def keep(tensor: torch.Tensor) -> None:
            saved[len(saved)] = tensor.detach()

        with (
            torch.enable_grad(),
            _statistics_at_rest(self._modules),
            self._random.as_before(),
            saved_tensors_hooks(keep, _refuse),
        ):
            self._call()
        return saved


class _RandomState:
    """The generators' state at a block's start: what is dropped must be dropped again."""

    def __init__(self, inputs: Sequence[torch.Tensor]) -> None:
        self._host = torch.get_rng_state()
        cuda = {tensor.device for tensor in inputs if tensor.device.type == "cuda"}
        self._cuda = {device: torch.cuda.get_rng_state(device) for device in cuda}

    @contextmanager
    def as_before(self) -> Iterator[None]:
        with torch.random.fork_rng(devices=[device.index for device in self._cuda]):
            torch.set_rng_state(self._host)
            for device, state in self._cuda.items():
                torch.cuda.set_rng_state(state, device)
            yield


@contextmanager
def _statistics_at_rest(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Keep running statistics from being updated a second time by the same batch."""
    parts = {part for module in modules for part in module.modules()}
    norms = [part for part in parts if part.training and has_running_statistics(part)]
    kept = [dict(norm._buffers) for norm in norms]
    for norm in norms:
        for name, buffer in norm.named_buffers():
            norm._buffers[name] = buffer.clone()
    try:
        yield
    finally:
        for norm, buffers in zip(norms, kept, strict=True):
            norm._buffers.update(buffers)


def has_running_statistics(module: nn.Module) -> bool:
    """Tell a BatchNorm, or an InstanceNorm, that keeps running statistics."""
    return bool(getattr(module, "track_running_stats", False))


def _refuse(_nothing: Any) -> torch.Tensor:
    raise RuntimeError("a block that is computed again has no backward of its own")
