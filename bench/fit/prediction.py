"""What a step will need, without having the memory: tensors counted on torch's fake tensors.

A step on fake tensors makes every tensor's shape and none of its memory, so the largest sum of live
tensors and kernels' buffers is known for any batch in seconds
(:mod:`bench.workloads.tensors_without_memory`).  To it comes the runtime: what a process needs next
to its tensors.
These functions run in a fresh process; see :mod:`bench.fit.measuring`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import devices

if TYPE_CHECKING:
    import torch

    from bench.models.load import LoadedModel

_RUNTIME_ITEMS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedTensors:
    """The tensors of one step at their peak."""

    method: str
    batch: int
    bytes: int
    formula_bytes: int  # the paper's closed form over the module's counts
    how: str  # "fake tensors", or "closed form" where the model does not run on them


def predict_tensors(
    model: str, methods: Sequence[str], batches: Sequence[int], images: int | None
) -> list[PredictedTensors]:
    """Predict the tensors of steps at their peak, weights and inputs included.

    Args:
        model: as :func:`zo_core.model_names.parse_model` takes it.
        methods: names in STEP_METHODS.
        batches: items a forward.
        images: items of a whole set worked through in micro-batches; None for one batch.
    """
    from bench.models.load import load_model

    loaded = load_model(model)
    formulas = _ClosedForms(loaded)
    return [
        _predict(loaded, formulas, method, batch, images) for batch in batches for method in methods
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What one method's process of a model needs next to its tensors."""

    resident_bytes: int  # libraries, their state and the code that a step has touched
    peak_bytes: int  # of the whole process so far: the high-water mark of resident memory


def measure_runtime(model: str, method: str) -> Runtime:
    """Take one step on two items, then count what is resident next to weights and batch.

    Two, since torch computes the convolutions of a single small item without oneDNN.

    Args:
        model: as :func:`zo_core.model_names.parse_model` takes it.
        method: a name in STEP_METHODS.
    """
    from bench.models.load import load_model
    from bench.workloads.steps import bind_step

    loaded = load_model(model)
    x, y = loaded.batch(_RUNTIME_ITEMS)
    bind_step(loaded.module, x, y, method, micro_batch=_RUNTIME_ITEMS)()
    devices.trim()
    memory = devices.read_host_memory()
    held = _bytes_of([*loaded.module.parameters(), *loaded.module.buffers(), x, y])
    return Runtime(
        resident_bytes=memory.rss_bytes - held, peak_bytes=memory.peak_rss_bytes or memory.rss_bytes
    )


def _predict(
    loaded: LoadedModel, formulas: _ClosedForms, method: str, batch: int, images: int | None
) -> PredictedTensors:
    formula = formulas.of(method, batch)
    try:
        counted, how = _count(loaded, method, batch, images), "fake tensors"
    except (RuntimeError, NotImplementedError, TypeError):
        counted, how = formula, "closed form"
    return PredictedTensors(
        method=method, batch=batch, bytes=counted, formula_bytes=formula, how=how
    )


def _count(loaded: LoadedModel, method: str, batch: int, images: int | None) -> int:
    """Take one forward, or one step of backprop, without memory; return the tracked peak."""
    from bench.workloads.steps import LR
    from bench.workloads.tensors_without_memory import count_without_memory, forward_only
    from zo_core.first_order.sgd import sgd_step_

    module = loaded.module

    def step(whole_x: torch.Tensor, whole_y: torch.Tensor) -> None:
        x, y = whole_x[:batch], whole_y[:batch]
        if method != "fedavg":
            return forward_only(module, x, y)
        module.train()
        return sgd_step_(module, x, y, lr=LR)

    return count_without_memory(module, loaded.batch(images or batch), step).with_buffers_bytes


def _first_names(module: torch.nn.Module) -> dict[str, str]:
    """Map each parameter's name to the first one of its memory."""
    from zo_core.shared_memory import first_names

    named = dict(module.named_parameters(remove_duplicate=False))
    return first_names(named, [name for name, p in named.items() if p.requires_grad])


class _ClosedForms:
    """The paper's formulas over a module's counts: parameters, and outputs of layers with them."""

    def __init__(self, loaded: LoadedModel) -> None:
        from bench.workloads.layer_counts import count_layers
        from zo_core.cost_model import ActivationCounts

        firsts, named = _first_names(loaded.module), dict(loaded.module.named_parameters())
        self.parameters = sum(p.numel() for name, p in named.items() if firsts[name] == name)
        counts = count_layers(loaded.module, loaded.batch(1)[0])
        self.activations = ActivationCounts(total=sum(counts.outputs), largest=max(counts.outputs))

    def of(self, method: str, batch: int) -> int:
        """Bytes by eq. 4 for backprop; by eq. 5 with one copy of the weights else."""
        from zo_core.cost_model import mem_full, mem_zero

        if method == "fedavg":
            return mem_full(self.parameters, self.activations, batch)
        return mem_zero(self.parameters, self.activations, batch, copies=1)


def _bytes_of(tensors: Sequence[torch.Tensor]) -> int:
    """Count the tensors' memory, what several of them share once."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
