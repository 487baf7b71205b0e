"""The compute dtype of forwards, chosen and recorded instead of inherited from the process.

| precision | float32 matmuls and convolutions | zeroth-order forwards |
|---|---|---|
| fp32 | full float32: TF32 off, oneDNN's fpmath mode strict | as they are |
| tf32 | TF32 where the device has it | as they are |
| fp16 | TF32 | float16 autocast |
| bf16 | TF32 | bfloat16 autocast; its scalars are usually too noisy to train with |

Backprop never runs in autocast: without loss scaling small gradients would be lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final

import torch

_AUTOCAST: Final = {"fp16": torch.float16, "bf16": torch.bfloat16}


@contextmanager
def computing_in(precision: str, device_type: str, *, forwards_only: bool) -> Iterator[None]:
    """Compute in a precision inside the context; the process's settings return after it.

    Args:
        precision: a name in PRECISIONS of zo_core.config.
        device_type: "cpu", "cuda" or another.
        forwards_only: whether nothing is trained by backprop inside.
    """
    dtype = _AUTOCAST.get(precision)
    autocast = forwards_only and dtype is not None
    with (
        _float32_as("ieee" if precision == "fp32" else "tf32"),
        torch.autocast(device_type, dtype) if autocast else nullcontext(),
    ):
        yield


@contextmanager
def _float32_as(wanted: str) -> Iterator[None]:
    """Set how float32 matmuls and convolutions compute, by torch's current API or its older one."""
    switches = _current_switches() or _older_switches(wanted)
    before = [getattr(owner, name) for owner, name, _ in switches]
    for owner, name, value in switches:
        setattr(owner, name, wanted if value is None else value)
    try:
        yield
    finally:
        for (owner, name, _), value in zip(switches, before, strict=True):
            setattr(owner, name, value)


def _current_switches() -> list[tuple[Any, str, Any]]:
    """List torch's per-operator switches (2.9 and later); setting old and new ones is an error."""
    backends: Any = torch.backends
    owners = [
        getattr(getattr(backends, backend), operator, None)
        for backend, operator in (
            ("cuda", "matmul"),
            ("cudnn", "conv"),
            ("mkldnn", "matmul"),
            ("mkldnn", "conv"),
        )
    ]
    if not all(hasattr(owner, "fp32_precision") for owner in owners):
        return []
    return [(owner, "fp32_precision", None) for owner in owners]


def _older_switches(wanted: str) -> list[tuple[Any, str, Any]]:
    return [
        (torch.backends.cuda.matmul, "allow_tf32", wanted == "tf32"),
        (torch.backends.cudnn, "allow_tf32", wanted == "tf32"),
    ]
