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
    switches = _current_switches(wanted) or _older_switches(wanted)
    before = [_setting(owner, name) for owner, name, _ in switches]
    for owner, name, value in switches:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for (owner, name, _), value in zip(switches, before, strict=True):
            if value is not None:
                setattr(owner, name, value)


def _setting(owner: Any, name: str) -> Any:
    """Read a switch; None where torch refuses, since the process set one kind and not the other."""
    try:
        return getattr(owner, name)
    except RuntimeError:
        return None


def _current_switches(wanted: str) -> list[tuple[Any, str, Any]]:
    """List torch's per-operator switches (2.9 and later), and cuDNN's older one before them.

    Torch refuses to read cuDNN's older switch, as torch.export does, while it differs from the
    current ones; setting it sets these too, so it comes first.
    """
    backends: Any = torch.backends
    owners = [
        getattr(getattr(backends, backend), operator, None)
        for backend, operator in (
            ("cuda", "matmul"),
            ("cudnn", "conv"),
            ("cudnn", "rnn"),
            ("mkldnn", "matmul"),
            ("mkldnn", "conv"),
        )
    ]
    if not all(hasattr(owner, "fp32_precision") for owner in owners):
        return []
    older = (backends.cudnn, "allow_tf32", wanted == "tf32")
    return [older, *((owner, "fp32_precision", wanted) for owner in owners)]


def _older_switches(wanted: str) -> list[tuple[Any, str, Any]]:
    return [
        (torch.backends.cuda.matmul, "allow_tf32", wanted == "tf32"),
        (torch.backends.cudnn, "allow_tf32", wanted == "tf32"),
    ]
