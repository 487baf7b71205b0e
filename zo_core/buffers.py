"""Which arrays and tensors can be perturbed in place, and why another one cannot."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

FLOATING = ("float16", "bfloat16", "float32", "float64")


def is_module(params: object) -> bool:
    """Tell whether params is a torch module, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(params, torch.nn.Module)


def is_buffer(value: object) -> bool:
    """Tell whether a value is a torch tensor or a NumPy array, without importing torch."""
    torch = sys.modules.get("torch")
    return isinstance(value, np.ndarray) or (torch is not None and isinstance(value, torch.Tensor))


def check_list(params: object) -> None:
    """Check that params is something like a list.

    Raises:
        ValueError: it is one buffer, a mapping, or nothing to iterate over.
    """
    what = "params must be a module or a list of torch tensors or NumPy arrays"
    if is_buffer(params):
        raise ValueError(f"{what}, got a single buffer; put it in a list: [buffer]")
    if isinstance(params, Mapping):
        raise ValueError(f"{what}, got a {type(params).__name__}; pass list(params.values())")
    if isinstance(params, Set):
        raise ValueError(f"{what}, got a {type(params).__name__}, which has no order")
    if not isinstance(params, Iterable) or isinstance(params, str | bytes):
        raise ValueError(f"{what}, got {type(params).__name__}")


def detached(name: str, given: Any) -> Any:
    """Return an array as it is, or a tensor without its gradient history.

    Raises:
        ValueError: it is neither, or it has no memory that can be written in place.
    """
    if isinstance(given, np.ndarray):
        if type(given) not in {np.ndarray, np.memmap}:
            raise _refused(name, f"is a {type(given).__name__}", "pass its plain array")
        return given
    if not is_buffer(given):
        kind = type(given).__name__
        raise _refused(name, f"is a {kind}", "pass torch tensors or NumPy arrays")
    return _detached_tensor(name, given)


def check_trainable(name: str, array: Any) -> None:
    """Check that a detached buffer can be perturbed.

    Raises:
        ValueError: its dtype cannot, or it is read-only.
    """
    on_host = isinstance(array, np.ndarray)
    dtype = str(array.dtype).removeprefix("torch.")
    if not (array.dtype.kind == "f" if on_host else dtype in FLOATING):
        raise _refused(
            name,
            f"has dtype {array.dtype}",
            f"use one of {', '.join(FLOATING)}, freeze it with requires_grad=False, or leave it "
            "out of the list",
        )
    if on_host and not array.flags.writeable:
        raise _refused(name, "is a read-only array", "pass a writable copy")


def check_has_values(name: str, array: Any) -> None:
    """Check that a buffer has values, which a tensor on the meta device does not.

    Raises:
        ValueError: it has none.
    """
    if not isinstance(array, np.ndarray) and array.is_meta:
        raise _refused(name, "is on the meta device", "load the model's weights first")


def _detached_tensor(name: str, given: Any) -> Any:
    import torch

    if torch.nn.parameter.is_lazy(given):
        raise _refused(name, "has no shape yet", "run one forward of the model first")
    tensor = given.detach()
    if type(tensor) is not torch.Tensor:
        raise _refused(
            name, f"is a {type(tensor).__name__}", "pass the plain tensors that it wraps"
        )
    if tensor.is_nested:
        raise _refused(name, "is a nested tensor", "pass the tensors that it consists of")
    if tensor.is_neg() or tensor.is_conj():
        raise _refused(name, "is a view that negates", "pass .resolve_neg() or .resolve_conj()")
    if tensor.layout != torch.strided:
        raise _refused(name, f"has layout {tensor.layout}", "pass a dense tensor: .to_dense()")
    try:
        tensor.data_ptr()
    except RuntimeError:
        raise _refused(name, "has no memory of its own", "perturb it outside of vmap") from None
    return tensor


def _refused(name: str, why: str, remedy: str) -> ValueError:
    return ValueError(f"parameter {name!r} {why} and cannot be perturbed in place; {remedy}")
