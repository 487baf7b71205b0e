"""One party's copy of the model: weights, their grid, and what else belongs to the state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zo_core.digest import digest, frozen_state
from zo_core.grid import Grid, snap_
from zo_core.parameters import Parameters, Params, is_module, parameters, size_of
from zo_core.payload import DIGEST_PREFIX_BYTES, Snapshot


class ForkError(RuntimeError):
    """A replica's weights are not the server's; replay cannot repair a fork."""


class Replica:
    """A model that takes part in a federation; all replicas of a run hold the same bits.

    Args:
        params: a torch module, or an ordered list of buffers (a client without torch).
        frozen: for a list, what else belongs to the model: frozen parameters, then buffers, in
            model order.  A module knows its own.
    """

    def __init__(self, params: Params, *, frozen: Sequence[Any] = ()) -> None:
        self.module: Any = params if is_module(params) else None
        self.params: Parameters = parameters(params)
        self.grid: Grid | None = None
        self._frozen = frozen_state(params) if is_module(params) else list(frozen)
        self._digest: bytes | None = None  # of the state since the last change

    def digest(self) -> bytes:
        """Hash the exact state, 32 bytes; see :func:`zo_core.digest.digest`.

        The hash is kept until :meth:`changed`; perturbing and restoring is no change.
        """
        if self._digest is None:
            self._digest = digest(self.params, self.grid, frozen=self._frozen)
        return self._digest

    def digest_prefix(self) -> bytes:
        """Return the digest's first 8 bytes, which messages carry."""
        return self.digest()[:DIGEST_PREFIX_BYTES]

    def require_digest(self, prefix: bytes) -> None:
        """Check that the state is the server's.

        Raises:
            ForkError: it is not.
        """
        if self.digest_prefix() != prefix:
            raise ForkError(
                f"this replica's digest begins with {self.digest_prefix().hex()}, the server's "
                f"with {prefix.hex()}; take over a snapshot and replay the log's tail"
            )

    def changed(self) -> None:
        """Forget the digest; called after each write to the state."""
        self._digest = None

    def snap_(self) -> None:
        """Put the weights on the grid (hand-over)."""
        self.grid = snap_(self.params)
        self.changed()

    def values(self) -> npt.NDArray[np.float32]:
        """Copy what training changes, weights and then buffers, into one flat float32 array."""
        return _gather(self._trained_state())

    def load_(self, values: npt.NDArray[np.float32]) -> None:
        """Write what :meth:`values` gave, in place.

        Raises:
            ValueError: values has another length than this model's state.
        """
        _scatter_(self._trained_state(), values)
        self.changed()

    def snapshot(self, *, run_id: int, round_index: int) -> Snapshot:
        """Pack the whole state as it is before round_index: weights, exponents, all that is frozen.

        What float32 does not hold is rounded; whoever sends a snapshot restores it as well, so that
        all replicas begin alike.
        """
        exponents = np.empty(0, np.int32) if self.grid is None else self.grid.exponents.copy()
        return Snapshot(
            run_id=run_id,
            round_index=round_index,
            exponents=exponents,
            values=_gather([*self.params.arrays, *self._frozen]),
        )

    def restore_(self, snapshot: Snapshot) -> None:
        """Take over a snapshot's state in place.

        Raises:
            ValueError: the snapshot is of another model.
        """
        _scatter_([*self.params.arrays, *self._frozen], snapshot.values)
        self.grid = Grid(snapshot.exponents) if snapshot.exponents.size else None
        self.changed()

    def _trained_state(self) -> list[Any]:
        buffers = [] if self.module is None else list(self.module.buffers())
        return [*self.params.arrays, *buffers]


def _gather(arrays: Sequence[Any]) -> npt.NDArray[np.float32]:
    return np.concatenate([_flat_copy(array) for array in arrays])


def _scatter_(arrays: Sequence[Any], values: npt.NDArray[np.float32]) -> None:
    sizes = [size_of(array) for array in arrays]
    if values.size != sum(sizes):
        raise ValueError(
            f"the model's state has {sum(sizes)} values, got {values.size}; "
            "both sides must build the same model"
        )
    start = 0
    for array, size in zip(arrays, sizes, strict=True):
        _write(array, values[start : start + size])
        start += size


def _flat_copy(array: Any) -> npt.NDArray[np.float32]:
    if not isinstance(array, np.ndarray):
        array = array.detach().cpu()
        array = (array.float() if array.is_floating_point() else array).numpy()
    flat = np.asarray(array, dtype=np.float32).reshape(-1)
    if array.dtype.kind in "iu" and not np.array_equal(flat, array.reshape(-1)):
        raise ValueError("an integer buffer exceeds 2^24 and cannot be sent as float32")
    return flat


def _write(array: Any, values: npt.NDArray[np.float32]) -> None:
    if isinstance(array, np.ndarray):
        array[...] = values.reshape(array.shape)
        return
    import torch

    source = torch.from_numpy(values.copy()).view(array.shape)
    # The mean of integer counters (batches seen) is no integer; the nearest one stands for it.
    array.copy_(source if array.is_floating_point() else source.round())
