"""Peak of live tensor storage in a region: what the formulas of training memory talk about.

The count is independent of the allocator and of the device (meta and fake tensors count too, so a
peak is known without the memory). It sees each storage that passes torch's dispatcher, composite
operators in parts, whatever the grad mode: in-place operations and views count once, a storage
lives until its last tensor is gone. It does not see NumPy arrays, what a kernel takes for itself
(`devices.kernel_buffers` knows the large ones), or storages made without an operator
(`copy.deepcopy`, `pickle`). Imports torch.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from devices.kernel_buffers import kernel_bytes
from devices.storages import address_of, key_of, tensors_in
from devices.tensor_peak import TensorPeak
from devices.tensor_timeline import TensorTimeline

CATEGORIES = (
    "parameter",
    "gradient",  # of a parameter
    "activation",
    "activation gradient",  # whatever else backward makes
    "optimiser",
    "perturbation",
    "other",
)
_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
# torch.tensor(...) makes its storage unseen and then passes it through this operator.
_FRESH = torch.ops.aten.lift_fresh.default


@dataclass(slots=True)
class _Storage:
    """One live storage; the category may be corrected later, also in a peak taken before."""

    size_bytes: int
    category: str
    reference: weakref.ref[Any]
    address: int  # where it begins; 0 where that is not known, as of a fake tensor


# torch types neither the mode nor the hook.
class TensorTracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follow the storages of a region; made by `track_tensors`."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from importing its compiler, some seconds, to leave this mode alone."""
        return False

    def __init__(self, device_type: str | None) -> None:
        """Count storages on `device_type` only, on every device where it is None."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._device_type = device_type
        self._live: dict[int, _Storage] = {}
        self._ignored: dict[int, _Storage] = {}
        self._addresses: set[int] = set()  # of live storages, where they are known
        self._ignored_bytes = 0
        self._now_bytes = self._peak_bytes = self._baseline_bytes = 0
        self._peak_with_buffers_bytes = 0
        self._at_peak: list[tuple[_Storage, int]] = []
        self._category: str | None = None
        self._timeline = TensorTimeline()
        # A finalizer may run in the middle of anything, also in autograd's device threads.
        self._lock = threading.RLock()

    @contextmanager
    def category(self, name: str) -> Iterator[None]:
        """Count what is made in this context as `name`, e.g. the optimiser's step as "optimiser".

        Args:
            name: One of CATEGORIES.

        Raises:
            ValueError: The name is unknown.
        """
        _check_category(name)
        outer, self._category = self._category, name
        try:
            yield
        finally:
            self._category = outer

    def result(self) -> TensorPeak:
        """Return the peak so far."""
        by_category = dict.fromkeys(CATEGORIES, 0)
        for storage, size_bytes in self._at_peak:
            by_category[storage.category] += size_bytes
        timeline_bytes, timeline_phases = self._timeline.points()
        return TensorPeak(
            baseline_bytes=self._baseline_bytes,
            peak_bytes=self._peak_bytes,
            with_buffers_bytes=max(self._peak_bytes, self._peak_with_buffers_bytes),
            by_category=by_category,
            ignored_bytes=self._ignored_bytes,
            timeline_bytes=timeline_bytes,
            timeline_phases=timeline_phases,
        )

    def add_existing(self, tensors: Iterable[torch.Tensor], category: str) -> None:
        """Count tensors that exist before the region as part of its baseline."""
        for tensor in tensors:
            self._see(tensor, category)
        self._baseline_bytes = self._now_bytes

    def mark_gradient(self, parameter: torch.Tensor) -> None:
        """Count the storage of the parameter's .grad as a gradient."""
        if parameter.grad is not None:
            self._see(parameter.grad, "gradient")
            known = self._live.get(key_of(parameter.grad))
            if known is not None:
                known.category = "gradient"

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run the operator; count what it made."""
        kwargs = kwargs or {}
        if func is not _FRESH:
            for tensor in tensors_in((args, kwargs)):
                self._ignore_unknown(tensor)
        if _is_composite(func):
            # Autograd takes a composite apart before it comes here, inference mode does not.
            # Its temporaries must count in both.
            with self:
                return func._op_dk(_COMPOSITE, *args, **kwargs)
        result = func(*args, **kwargs)
        category = self._category or _natural_category()
        for tensor in tensors_in(result):
            self._see(tensor, category)
        self._pass_by(kernel_bytes(func, args, result))
        self._timeline.add(
            self._now_bytes, in_backward=_is_in_backward(), has_grad=torch.is_grad_enabled()
        )
        return result

    def _see(self, tensor: torch.Tensor, category: str) -> None:
        if self._device_type not in (None, tensor.device.type):
            return
        key = key_of(tensor)
        with self._lock:
            if key in self._ignored:
                return
            if key not in self._live:
                if self._counts_already(tensor):
                    return
                self._live[key] = _watch(tensor, category, partial(self._forget, key))
                self._addresses |= {self._live[key].address} - {0}
            known = self._live[key]
            grown = tensor.untyped_storage().nbytes() - known.size_bytes
            known.size_bytes += grown
            self._now_bytes += grown
            if self._now_bytes > self._peak_bytes:
                self._peak_bytes = self._now_bytes
                self._at_peak = [(each, each.size_bytes) for each in self._live.values()]

    def _pass_by(self, buffer_bytes: int) -> None:
        """Note buffers that were there while an operator ran, next to what is alive now."""
        with self._lock:
            with_buffers = self._now_bytes + buffer_bytes
            self._peak_with_buffers_bytes = max(self._peak_with_buffers_bytes, with_buffers)

    def _forget(self, key: int, _: weakref.ref[Any]) -> None:
        with self._lock:
            gone = self._live.pop(key)
            self._now_bytes -= gone.size_bytes
            self._addresses.discard(gone.address)

    def _counts_already(self, tensor: torch.Tensor) -> bool:
        """Tell whether it is another storage over counted memory, as torch.from_numpy makes."""
        return address_of(tensor) in self._addresses

    def _ignore_unknown(self, tensor: torch.Tensor) -> None:
        """Note a storage that an operator reads before any made it: it existed before."""
        key = key_of(tensor)
        if key in self._live or key in self._ignored or self._counts_already(tensor):
            return
        self._ignored[key] = _watch(tensor, "other", lambda _: self._ignored.pop(key))
        self._ignored_bytes += tensor.untyped_storage().nbytes()


@contextmanager
def track_tensors(
    *,
    parameters: Iterable[torch.Tensor] = (),
    optimiser: Iterable[torch.Tensor] = (),
    existing: Iterable[torch.Tensor] = (),
    device_type: str | None = None,
) -> Iterator[TensorTracker]:
    """Track the region's live tensor storage.

    Tensors that exist before the region count only if they are given here. Tensors made in the
    region are activations, in a backward pass gradients, unless `tracker.category(...)` says
    otherwise. The tracker slows every operator down: measure time in another run.

    Args:
        parameters: The model's parameters; their .grad is counted too.
        optimiser: Tensors of the optimiser's state.
        existing: Other tensors to count in the baseline: buffers, inputs, targets.
        device_type: Count storages on this type of device only, e.g. "cuda".

    Yields:
        The tracker; its result() holds the peak.

    >>> with track_tensors() as tracker:
    ...     kept = torch.zeros(1024)
    ...     _ = torch.ones(512).sum()
    >>> tracker.result().peak_bytes
    6148
    """
    tracker = TensorTracker(device_type)
    weights = list(parameters)
    leaves = [weight for weight in weights if weight.is_leaf and weight.requires_grad]
    tracker.add_existing(weights, "parameter")
    tracker.add_existing((leaf.grad for leaf in leaves if leaf.grad is not None), "gradient")
    tracker.add_existing(optimiser, "optimiser")
    tracker.add_existing(existing, "other")
    hooks = [
        leaf.register_post_accumulate_grad_hook(tracker.mark_gradient)  # type: ignore[no-untyped-call]
        for leaf in leaves
    ]
    try:
        with tracker:
            yield tracker
    finally:
        for hook in hooks:
            hook.remove()


def _natural_category() -> str:
    """Tell a backward pass's product from a forward's; a checkpoint recomputes with grad on."""
    is_product = _is_in_backward() and not torch.is_grad_enabled()
    return "activation gradient" if is_product else "activation"


def _is_in_backward() -> bool:
    return bool(torch._C._current_graph_task_id() != -1)


@functools.cache
def _is_composite(func: Any) -> bool:
    """Return whether an operator is only a sequence of others, with no kernel of its own."""
    name = func.name()
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    return bool(
        torch._C._dispatch_has_kernel(name)
        and has_kernel(name, _COMPOSITE)
        and not has_kernel(name, "CPU")
    )


def _watch(
    tensor: torch.Tensor, category: str, gone: Callable[[weakref.ref[Any]], Any]
) -> _Storage:
    reference = weakref.ref(tensor.untyped_storage(), gone)
    address = address_of(tensor)
    return _Storage(size_bytes=0, category=category, reference=reference, address=address)


def _check_category(name: str) -> None:
    if name not in CATEGORIES:
        raise ValueError(f"name must be one of {', '.join(CATEGORIES)}, got {name!r}")
