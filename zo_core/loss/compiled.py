"""Forwards by torch.compile: one graph for all clients, since weights change in place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class PlainForward:
    """A module's forward as it is."""

    compilations = 0

    @contextmanager
    def active(self) -> Iterator[None]:
        """Do nothing."""
        yield


class CompiledForward:
    """A module's forward as a compiled graph, used inside :meth:`active` only.

    Args:
        module: in evaluation mode whenever it is called; its weights may change in place.
        backend: of torch.compile.
    """

    def __init__(self, module: nn.Module, *, backend: str = "inductor") -> None:
        self._module: Any = module
        self.compilations = 0  # graphs that were made: one for each shape of the inputs
        self._backend: Any = torch._dynamo.lookup_backend(backend)
        self._call = torch.compile(module.forward, backend=self._compile, dynamic=False)

    def _compile(self, graph: Any, inputs: Any) -> Any:
        self.compilations += 1
        return self._backend(graph, inputs)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Run the module's calls by the graph inside the context; training is left alone."""
        self._module._compiled_call_impl = self._call
        try:
            yield
        finally:
            self._module._compiled_call_impl = None
