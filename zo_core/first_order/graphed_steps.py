"""SGD steps as CUDA graphs: one launch a step instead of hundreds, by the same operations.

The first steps of each shape of batch are plain, which is also what a capture needs before it; then
one step is captured for that shape and replayed with each batch copied into its inputs.  Where a
capture fails, all steps stay plain and the reason is logged once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import torch
from torch import nn

from zo_core.first_order.sgd import sgd_step_, stepping_by
from zo_core.loss.module_loss import Criterion, cross_entropy

PLAIN_STEPS: Final = 3  # of each shape, before its capture: what libraries build once is built then
MOST_GRAPHS: Final = 4  # shapes beyond these stay plain: each graph is kept for the whole phase
_log = logging.getLogger("zo_core.first_order")


class GraphAPI(Protocol):
    """What a device must offer; tests have one without a device."""

    def side_stream(self) -> AbstractContextManager[None]:
        """Run the operations inside on a stream of their own, in order with those around it."""

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record the operations of a call without running them; the result runs them.

        Raises:
            RuntimeError: the work cannot be captured.
        """


class CudaGraphs:
    """torch's CUDA graphs, which share one pool of memory: they never run at the same time."""

    def __init__(self) -> None:
        self._pool: Any = None

    @contextmanager
    def side_stream(self) -> Iterator[None]:
        """See :class:`GraphAPI`."""
        stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            yield
        torch.cuda.current_stream().wait_stream(stream)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """See :class:`GraphAPI`."""
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            work()
        replay: Callable[[], None] = graph.replay
        return replay


@dataclass(slots=True)
class _Graph:
    """The steps of one shape of batch."""

    plain_steps: int = 0
    x: torch.Tensor | None = None  # what a replay reads
    y: torch.Tensor | None = None
    replay: Callable[[], None] | None = None


class GraphedSteps:
    """:func:`zo_core.first_order.sgd.sgd_step_` of one module, whose tensors stay where they are.

    Args:
        module: its forward does the same operations for all batches of one shape.
        api: makes the graphs.
    """

    def __init__(self, module: nn.Module, api: GraphAPI | None = None) -> None:
        self._module, self._api = module, api or CudaGraphs()
        self._graphs: dict[Hashable, _Graph] = {}
        self.failure: str | None = None  # why steps are plain

    @property
    def captures(self) -> int:
        """Graphs that were captured so far."""
        return sum(graph.replay is not None for graph in self._graphs.values())

    def active(self) -> AbstractContextManager[None]:
        """Take the plain steps of local training on this module by graphs inside the context."""
        return stepping_by(self._module, self.step_)

    def release(self) -> None:
        """Free the graphs and their memory."""
        self._graphs.clear()

    def step_(
        self,
        module: nn.Module,
        x: torch.Tensor,
        y: torch.Tensor,
        *,
        lr: float,
        criterion: Criterion = cross_entropy,
    ) -> None:
        """Take one step; arguments as of :func:`zo_core.first_order.sgd.sgd_step_`."""
        graph = self._graph_for((x.shape, y.shape, lr, criterion, module.training))
        if graph is None:
            sgd_step_(module, x, y, lr=lr, criterion=criterion)
        elif graph.plain_steps < PLAIN_STEPS:
            graph.plain_steps += 1
            with self._api.side_stream():
                sgd_step_(module, x, y, lr=lr, criterion=criterion)
        elif graph.replay is not None or self._captured(graph, x, y, lr=lr, criterion=criterion):
            _replay(graph, x, y)
        else:
            sgd_step_(module, x, y, lr=lr, criterion=criterion)

    def _graph_for(self, key: Hashable) -> _Graph | None:
        if self.failure is not None:
            return None
        if key not in self._graphs and len(self._graphs) < MOST_GRAPHS:
            self._graphs[key] = _Graph()
        return self._graphs.get(key)

    def _captured(
        self, graph: _Graph, x: torch.Tensor, y: torch.Tensor, *, lr: float, criterion: Criterion
    ) -> bool:
        """Capture a step of these shapes; False where that fails."""
        inputs, targets = x.clone(), y.clone()
        try:
            graph.replay = self._api.capture(
                lambda: sgd_step_(self._module, inputs, targets, lr=lr, criterion=criterion)
            )
        except RuntimeError as error:
            self.failure = str(error).splitlines()[0] if str(error) else type(error).__name__
            _log.warning("SGD steps run without CUDA graphs: %s", self.failure)
            self._module.zero_grad(set_to_none=True)
            self.release()
            return False
        graph.x, graph.y = inputs, targets
        return True


def _replay(graph: _Graph, x: torch.Tensor, y: torch.Tensor) -> None:
    assert graph.x is not None
    assert graph.y is not None
    assert graph.replay is not None
    graph.x.copy_(x)
    graph.y.copy_(y)
    graph.replay()
