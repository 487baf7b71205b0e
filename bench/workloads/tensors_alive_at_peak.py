"""Which tensors are alive at a step's peak: layer outputs, saved beside them, gradients, the rest.

The tracker tells the peak by category; whether one given tensor was part of it follows from how
high the peak was when it came and when it went: still to rise, and risen for the last time.  The
allocator is watched as well, since kernels take buffers from it that no tensor owns.  Runs in a
fresh process.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devices.tensor_peak import TensorPeak

if TYPE_CHECKING:
    import torch

    from devices.tensor_memory import TensorTracker


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorsAtPeak:
    """The tensors of a step at its peak, bytes."""

    tensors: TensorPeak
    layer_outputs: int  # of layers with parameters
    saved: int  # other tensors that autograd kept for the backward pass
    allocator_above_baseline: int  # peak by the allocator's events


def tensors_alive_at_peak(model: str, method: str, batch: int) -> TensorsAtPeak:
    """Take one step under the tracker and one under the allocator's profiler.

    Args:
        model: as :func:`zo_core.model_names.parse_model` takes it.
        method: a name in STEP_METHODS.
        batch: items.
    """
    from bench.models.load import load_model
    from bench.workloads.steps import bind_step
    from devices.torch_allocator import peak_by_events

    loaded = load_model(model)
    x, y = loaded.batch(batch)
    step = bind_step(loaded.module, x, y, method, micro_batch=batch)
    tensors, watch = _watch(loaded.module, x, y, step)
    return TensorsAtPeak(
        tensors=tensors,
        layer_outputs=watch.at_peak("layer output"),
        saved=watch.at_peak("saved"),
        allocator_above_baseline=peak_by_events(step),
    )


class _Watch:
    """Watches storages come and go; tells those of a kind that were alive at the peak."""

    def __init__(self, tracker: TensorTracker) -> None:
        self._tracker = tracker
        self._alive: dict[int, Any] = {}
        self._seen: list[tuple[str, int, int, int]] = []  # kind, size, peak before, peak at its end

    def peak(self) -> int:
        """Return the peak so far, bytes."""
        return self._tracker.result().peak_bytes

    def ignore(self, tensor: torch.Tensor) -> None:
        """Leave a tensor that existed before out of the census."""
        self._alive[_key(tensor)] = tensor

    def add(self, tensor: torch.Tensor, kind: str, peak_before: int) -> None:
        """Watch a tensor that was made when the peak stood at peak_before."""
        key = _key(tensor)
        if key in self._alive:
            return
        size = tensor.untyped_storage().nbytes()

        def gone(_: object) -> None:
            del self._alive[key]
            self._seen.append((kind, size, peak_before, self.peak()))

        self._alive[key] = weakref.ref(tensor.untyped_storage(), gone)

    def at_peak(self, kind: str) -> int:
        """Sum the bytes of a kind that were alive when the peak rose for the last time."""
        final = self.peak()
        return sum(
            size
            for seen, size, before, after in self._seen
            if seen == kind and before < final == after
        )


def _watch(
    module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, step: Callable[[], object]
) -> tuple[TensorPeak, _Watch]:
    from devices.tensor_memory import track_tensors

    existing = [*module.buffers(), x, y]
    with track_tensors(parameters=module.parameters(), existing=existing) as tracker:
        watch = _Watch(tracker)
        for tensor in (*module.parameters(), *existing):
            watch.ignore(tensor)
        with _watching_layers(module, watch), _watching_saved(watch):
            step()
    return tracker.result(), watch


@contextmanager
def _watching_layers(module: torch.nn.Module, watch: _Watch) -> Iterator[None]:
    layers = [m for m in module.modules() if list(m.parameters(recurse=False))]
    before: dict[torch.nn.Module, int] = {}

    def begin(layer: torch.nn.Module, _inputs: object) -> None:
        before[layer] = watch.peak()

    def end(layer: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
        watch.add(output, "layer output", before[layer])

    hooks = [layer.register_forward_pre_hook(begin) for layer in layers]
    hooks += [layer.register_forward_hook(end) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _watching_saved(watch: _Watch) -> Any:
    """Have autograd show what it saves; in a forward without gradients it saves nothing."""
    import torch

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        watch.add(tensor, "saved", watch.peak())
        return tensor

    return torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)


def _key(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
