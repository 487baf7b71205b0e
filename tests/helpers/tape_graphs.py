"""CUDA graphs without a device: a capture records operators, a replay runs them on the same memory.

As on a device, what a capture runs changes no value, and a replay sees neither Python nor any
tensor that was not there when it was captured.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Recorder(TorchDispatchMode):
    def __init__(self, tape: list[tuple[Any, Any, Any, Any]]) -> None:
        super().__init__()
        self.tape = tape

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        found = func(*args, **(kwargs or {}))
        self.tape.append((func, args, kwargs or {}, found))
        return found


@dataclass
class TapeGraphs:
    """A GraphAPI on the CPU; counts what is asked of it."""

    module: nn.Module
    captured: int = 0
    replayed: int = 0
    beside: int = 0  # steps on a stream of their own
    tapes: list[list[Any]] = field(default_factory=list)

    def side_stream(self) -> AbstractContextManager[None]:
        self.beside += 1
        return nullcontext()

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        state = [*self.module.parameters(), *self.module.buffers()]
        before = [tensor.detach().clone() for tensor in state]
        tape: list[tuple[Any, Any, Any, Any]] = []
        with _Recorder(tape):
            work()
        with torch.no_grad():
            for tensor, value in zip(state, before, strict=True):
                tensor.copy_(value)
        self.captured += 1
        self.tapes.append(tape)
        return lambda: self._replay(tape)

    def _replay(self, tape: list[tuple[Any, Any, Any, Any]]) -> None:
        self.replayed += 1
        with torch.no_grad():
            for func, args, kwargs, found in tape:
                again = func(*args, **kwargs)
                for old, new in zip(tree_leaves(found), tree_leaves(again), strict=True):
                    if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)
