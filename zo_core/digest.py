"""One digest for a model's exact state, so that replicas can be compared: rule 12 of zo-grid/1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from zo_core.blake import blake2b
from zo_core.buffers import is_module
from zo_core.parameters import Params, parameters
from zo_core.weight_grid import Grid, check_grid_size

if TYPE_CHECKING:
    import torch

DIGEST_BYTES = 32


def digest(params: Params, grid: Grid | None = None, *, frozen: Iterable[Any] = ()) -> bytes:
    """Hash weights, exponents, frozen parameters and buffers with BLAKE2b-256.

    Args:
        params: a module, or an ordered list of buffers.
        grid: the weights' exponents; None for plain mode, where no exponent is hashed.
        frozen: for a list, what else belongs to the model: frozen parameters, then buffers, in
            model order.  A module's own are always hashed.

    Returns:
        32 bytes; equal on every replica of a run, whatever its device.
    """
    numbered = parameters(params)
    check_grid_size(numbered, grid)
    state = blake2b(digest_size=DIGEST_BYTES)
    for index, array in enumerate(numbered.arrays):
        if grid is not None:
            state.update(int(grid.exponents[index]).to_bytes(4, "little", signed=True))
        state.update(row_major_bytes(array))
    for array in frozen_state(params) if is_module(params) else frozen:
        state.update(row_major_bytes(array))
    return state.digest()


def frozen_state(params: Params) -> list[Any]:
    """List a module's frozen parameters and then its buffers, in model order."""
    module = cast("torch.nn.Module", params)
    still = [p.detach() for p in module.parameters() if not p.requires_grad]
    return [*still, *module.buffers()]


def row_major_bytes(array: Any) -> memoryview | bytes:
    """View an array's elements as little-endian bytes; copies only what is not contiguous there."""
    if not isinstance(array, np.ndarray):
        array = array.detach().cpu()
        bits = array.contiguous().reshape(-1)
        if "bfloat16" in str(array.dtype):  # NumPy has no bfloat16
            import torch

            bits = bits.view(torch.int16)
        array = bits.numpy()
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.size == 0:  # a memoryview of nothing cannot be cast
        return b""
    return flat.astype(flat.dtype.newbyteorder("<"), copy=False).view(np.uint8).data
