"""What a step will need, without having the memory: tensors counted as torch's fake tensors.

A step on fake tensors of the CPU makes every tensor's shape and none of its memory, by the
operations that the CPU would choose (its fused attention keeps less than the plain one that the
meta device takes).  So the largest sum of live tensors is known for any batch in seconds.  To it
come the copies that a convolution makes inside its kernel, which the dispatcher does not see, and
the runtime: what a process needs next to its tensors.
These functions run in a fresh process; see :mod:`bench.fit.measuring`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import devices
from bench.records.typed_json import to_json

if TYPE_CHECKING:
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from bench.models.load import LoadedModel

_RUNTIME_ITEMS = 2
_CONVOLUTIONS = ("Conv1d", "Conv2d", "Conv3d")


def predict_tensors(
    model: str, methods: Sequence[str], batches: Sequence[int], images: int | None
) -> list[dict[str, Any]]:
    """Predict the tensors of steps at their peak, weights and inputs included.

    Args:
        model: as :func:`bench.models.names.parse_model` takes it.
        methods: names in STEP_METHODS.
        batches: items a forward.
        images: items of a whole set worked through in micro-batches; None for one batch.

    Returns:
        One dict a step: "method", "batch", "bytes", "how" ("fake tensors", or "closed form" with
        "reason" where the model does not run on them), and "formula_bytes", the paper's closed form
        over the module's counts.
    """
    from bench.models.load import load_model

    loaded = load_model(model)
    formulas = _ClosedForms(loaded)
    fake = _make_fake(loaded.module)
    return [
        _predict(loaded, formulas, fake, (method, batch, images))
        for batch in batches
        for method in methods
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What one method's process of a model needs next to its tensors."""

    resident_bytes: int  # libraries, their state and the code that a step has touched
    peak_bytes: int  # of the whole process so far: the high-water mark of resident memory


def measure_runtime(model: str, method: str) -> dict[str, int]:
    """Take one step on two items, then count what is resident next to weights and batch.

    Two, since torch computes the convolutions of a single small item without oneDNN.

    Args:
        model: as :func:`bench.models.names.parse_model` takes it.
        method: a name in STEP_METHODS.

    Returns:
        JSON of :class:`Runtime`.
    """
    from bench.models.load import load_model
    from bench.workloads.steps import bind_step

    loaded = load_model(model)
    x, y = loaded.batch(_RUNTIME_ITEMS)
    bind_step(loaded.module, x, y, method, micro_batch=_RUNTIME_ITEMS)()
    devices.trim()
    memory = devices.read_host_memory()
    held = _bytes_of([*loaded.module.parameters(), *loaded.module.buffers(), x, y])
    runtime = Runtime(
        resident_bytes=memory.rss_bytes - held, peak_bytes=memory.peak_rss_bytes or memory.rss_bytes
    )
    found: dict[str, int] = to_json(runtime)
    return found


def _make_fake(module: torch.nn.Module) -> FakeTensorMode:
    """Put fake tensors in the place of a module's parameters and buffers; free these."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    fake = FakeTensorMode()
    for part in module.modules():
        tables: tuple[dict[str, Any], ...] = (part._parameters, part._buffers)
        for tensors in tables:
            held = {name: tensor for name, tensor in tensors.items() if tensor is not None}
            tensors.update({name: fake.from_tensor(tensor) for name, tensor in held.items()})
    return fake


def _predict(
    loaded: LoadedModel,
    formulas: _ClosedForms,
    fake: FakeTensorMode,
    step: tuple[str, int, int | None],
) -> dict[str, Any]:
    method, batch, _ = step
    formula = formulas.of(method, batch)
    found: dict[str, Any] = {"method": method, "batch": batch, "formula_bytes": formula}
    try:
        return found | {"bytes": _count(loaded, fake, *step), "how": "fake tensors"}
    except (RuntimeError, NotImplementedError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return found | {"bytes": formula, "how": "closed form", "reason": reason}


def _count(
    loaded: LoadedModel, fake: FakeTensorMode, method: str, batch: int, images: int | None
) -> int:
    """Take one forward, or one step of backprop, on fake tensors; return the tracked peak.

    A ZO step holds what its forward holds: its passes over the weights are in place.
    """
    import torch

    from devices.tensor_memory import track_tensors
    from zo_core.first_order.sgd import sgd_step_
    from zo_core.loss.module_loss import cross_entropy, evaluating

    module = loaded.module
    whole_x, whole_y = map(fake.from_tensor, loaded.batch(images or batch))
    with fake:
        x, y = whole_x[:batch], whole_y[:batch]
    existing = [*module.buffers(), whole_x, whole_y]
    copies = _stand_in_for_copies(module)
    try:
        with (
            fake,
            track_tensors(parameters=module.parameters(), existing=existing) as tracker,
        ):
            if method == "fedavg":
                module.train()
                sgd_step_(module, x, y, lr=1e-3)
            else:
                with torch.inference_mode(), evaluating(module):
                    cross_entropy(module(x), y).sum(dtype=torch.float64)
    finally:
        for hook in copies:
            hook.remove()
    return tracker.result().peak_bytes


def _first_names(module: torch.nn.Module) -> dict[str, str]:
    """Map each parameter's name to the first one of its memory."""
    from zo_core.shared_memory import first_names

    named = dict(module.named_parameters(remove_duplicate=False))
    return first_names(named, [name for name, p in named.items() if p.requires_grad])


def _stand_in_for_copies(module: torch.nn.Module) -> list[Any]:
    """Have each convolution hold a copy of its input and weight while its output is made.

    oneDNN computes in a blocked layout: input, weight and output are reordered into buffers of
    their own, of which the input's and the weight's are there beside the plain output.
    """
    import torch

    def copy(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...], _: torch.Tensor) -> None:
        for tensor in (inputs[0], layer.weight):
            torch.empty_like(tensor)  # type: ignore[arg-type]

    return [
        layer.register_forward_hook(copy)
        for layer in module.modules()
        if type(layer).__name__ in _CONVOLUTIONS
    ]


class _ClosedForms:
    """The paper's formulas over a module's counts: parameters, and outputs of layers with them."""

    def __init__(self, loaded: LoadedModel) -> None:
        from zo_core.cost_model import ActivationCounts

        firsts, named = _first_names(loaded.module), dict(loaded.module.named_parameters())
        self.parameters = sum(p.numel() for name, p in named.items() if firsts[name] == name)
        outputs = count_layer_outputs(loaded)
        self.activations = ActivationCounts(total=sum(outputs), largest=max(outputs))

    def of(self, method: str, batch: int) -> int:
        """Bytes by eq. 4 for backprop; by eq. 5 with one copy of the weights else."""
        from zo_core.cost_model import mem_full, mem_zero

        if method == "fedavg":
            return mem_full(self.parameters, self.activations, batch)
        return mem_zero(self.parameters, self.activations, batch, copies=1)


def count_layer_outputs(loaded: LoadedModel) -> list[int]:
    """Count the floats an item that each layer with parameters of its own puts out."""
    import torch

    from zo_core.loss.module_loss import evaluating

    counts: list[int] = []

    def count(_layer: torch.nn.Module, _inputs: Any, output: Any) -> None:
        counts.extend(part.numel() for part in _tensors(output))

    layers = [m for m in loaded.module.modules() if list(m.parameters(recurse=False))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.inference_mode(), evaluating(loaded.module):
        loaded.module(loaded.batch(1)[0])
    for hook in hooks:
        hook.remove()
    return counts


def _tensors(output: Any) -> list[torch.Tensor]:
    parts = output if isinstance(output, tuple | list) else [output]
    return [part for part in parts if hasattr(part, "numel")]


def _bytes_of(tensors: Sequence[torch.Tensor]) -> int:
    """Count the tensors' memory, what several of them share once."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
