"""One party's copy of the model: weights, their grid, and what else belongs to the state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from zo_core.buffers import is_module
from zo_core.digest import digest, frozen_state
from zo_core.kernels.resumable_pass import uninterrupted
from zo_core.parameters import Parameters, Params, as_numpy_if_possible, parameters, size_of
from zo_core.payloads.core import DIGEST_PREFIX_BYTES, Snapshot
from zo_core.state import MethodState, RestoredState
from zo_core.weight_grid import Grid, snap_


class ForkError(RuntimeError):
    """A replica's weights are not the server's; replay cannot repair a fork."""


class Forward(Protocol):
    """Compute losses at weights that it shares with a replica."""

    def mean_loss(self, x: Any, y: Any, *, micro_batch: int | None = None) -> float:
        """Compute the mean loss over all items, summed in float64."""


class Replica:
    """A model that takes part in a federation; all replicas of a run hold the same bits.

    Args:
        params: a torch module, or an ordered list of buffers (a client without torch).
        frozen: for a list, what else belongs to the model: frozen parameters, then buffers, in
            model order.  A module knows its own.
        forward: for a list, what computes a loss at these weights; None for a replica that only
            replays.
        criterion: a module's loss of each item, where a method has no other; None for cross
            entropy.
    """

    def __init__(
        self,
        params: Params,
        *,
        frozen: Sequence[Any] = (),
        forward: Forward | None = None,
        criterion: Any = None,
    ) -> None:
        self.module: Any = params if is_module(params) else None
        self.forward = forward
        self._criterion = criterion
        self.params: Parameters = parameters(params)
        self.grid: Grid | None = None
        # kept between rounds: by each replica (in digest and snapshot), server, client (in neither)
        self.shared_state: MethodState | None = None
        self.server_state: MethodState | None = None
        self.client_states: dict[int, MethodState] = {}
        self._frozen = frozen_state(params) if is_module(params) else list(frozen)
        self._digest: bytes | None = None  # of the state since the last change
        self._blank = False  # whether messages carry zeros in its place

    def mean_loss(
        self, x: Any, y: Any, *, micro_batch: int | None = None, criterion: Any = None
    ) -> float:
        """Compute the mean loss over all items at the weights as they stand.

        Args:
            x: inputs, (items, ...).
            y: targets, (items, ...).
            micro_batch: items per forward; None for all at once.
            criterion: gives a module's loss of each item; None for the replica's own.

        Raises:
            ValueError: no items, micro_batch < 1, or a replica that has no forward.
        """
        if self.module is not None:
            from zo_core.loss.module_loss import mean_loss

            criterion = criterion or self.criterion
            return mean_loss(self.module, x, y, micro_batch=micro_batch, criterion=criterion)
        if self.forward is None or criterion is not None:
            what = "forward" if self.forward is None else "criterion of its own choice"
            raise ValueError(f"a replica of bare buffers has no {what}: give it one, or a module")
        return self.forward.mean_loss(x, y, micro_batch=micro_batch)

    @property
    def criterion(self) -> Any:
        """The loss of each item that training descends."""
        from zo_core.loss.module_loss import cross_entropy

        return self._criterion or cross_entropy

    def digest(self) -> bytes:
        """Hash the exact state, 32 bytes; see :func:`zo_core.digest.digest`.

        The hash is kept until :meth:`invalidate_digest`; perturbing and restoring keeps it.
        """
        if self._digest is None:
            self._digest = digest(self.params, self.grid, frozen=self.state_beside_weights())
        return self._digest

    def digest_prefix(self) -> bytes:
        """Return the digest's first 8 bytes, which messages carry."""
        return bytes(DIGEST_PREFIX_BYTES) if self._blank else self.digest()[:DIGEST_PREFIX_BYTES]

    @contextmanager
    def without_digests(self) -> Iterator[None]:
        """Let messages carry zeros inside the context; a caller fills in their digests later."""
        self._blank = True
        try:
            yield
        finally:
            self._blank = False

    def state_beside_weights(self) -> list[Any]:
        """List what a digest has after the weights: what is frozen, then what is shared."""
        return [*self._frozen, *self._shared()]

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

    def check_same_weights(self, slot: int, prefix: bytes) -> None:
        """Check that a client's update was computed on these weights.

        Raises:
            ForkError: it was computed on others.
        """
        if self.digest_prefix() != prefix:
            raise ForkError(
                f"slot {slot} computed on weights whose digest begins with {prefix.hex()}, the "
                f"server's begins with {self.digest_prefix().hex()}; send it a snapshot and the "
                "log's tail"
            )

    def invalidate_digest(self) -> None:
        """Forget the digest; called before each write to the state, whatever may cut it short."""
        self._digest = None

    def snap_(self) -> None:
        """Put the weights on the grid (hand-over)."""
        self.invalidate_digest()
        self.grid = snap_(self.params)

    def hand_over_(self, *, run_id: int, round_index: int, grid: bool = True) -> Snapshot:
        """Freeze the model as the origin of all replicas; every one begins from what is returned.

        Args:
            run_id: the run.
            round_index: the first round of phase two.
            grid: put the weights on the grid.
        """
        if self.module is not None:
            self.module.eval()  # buffers are frozen from here on
        if grid:
            self.snap_()
        snapshot = self.snapshot(run_id=run_id, round_index=round_index)
        self.restore_(snapshot)  # what float32 holds of it
        return snapshot

    @property
    def num_values(self) -> int:
        """Values of a snapshot: weights and what is frozen."""
        return self.params.num_elements + sum(map(size_of, self._frozen))

    def values(self) -> npt.NDArray[np.float32]:
        """Copy what training changes, weights and then buffers, into one flat float32 array."""
        return gather(self.trained_state())

    def load_(self, values: npt.NDArray[np.float32]) -> None:
        """Write what :meth:`values` gave, in place.

        Raises:
            ValueError: the length of values differs from this model's state.
        """
        self.overwrite_(self.trained_state(), values)

    def overwrite_(self, arrays: Sequence[Any], values: npt.NDArray[np.float32]) -> None:
        """Write values into some of the state's arrays; an interrupt is raised after that.

        Raises:
            ValueError: the length of values differs from that of all arrays together.
        """
        self.invalidate_digest()
        uninterrupted(partial(scatter_, arrays, values))

    def snapshot(self, *, run_id: int, round_index: int) -> Snapshot:
        """Pack the state as it is before round_index: weights, exponents, what is frozen or shared.

        What float32 does not hold is rounded; the sender of a snapshot restores it too, so that
        all replicas begin alike.
        """
        return Snapshot(
            run_id=run_id,
            round_index=round_index,
            exponents=np.empty(0, np.int32) if self.grid is None else self.grid.exponents.copy(),
            values=gather([*self.params.arrays, *self._frozen]),
            state=gather(self._shared()),
        )

    def restore_(self, snapshot: Snapshot) -> None:
        """Take over a snapshot's state in place.

        Raises:
            ValueError: the snapshot belongs to a different model.
        """
        arrays = [*self.params.arrays, *self._frozen]
        restored = RestoredState(values=self.beside_weights(snapshot.state))

        def restore() -> None:
            scatter_(arrays, snapshot.values)
            self.shared_state = restored if snapshot.state.size else None
            self.grid = Grid(snapshot.exponents) if snapshot.exponents.size else None

        self.invalidate_digest()
        uninterrupted(restore)

    def beside_weights(self, values: npt.NDArray[np.float32]) -> Any:
        """Copy values, (n,), to the device of the weights, for a method's shared state."""
        first = as_numpy_if_possible(self.params.arrays[0])
        on_host = isinstance(first, np.ndarray)
        buffer = np.empty(values.size, np.float32) if on_host else first.new_empty(values.size)
        write_(buffer, values)
        return buffer

    def _shared(self) -> tuple[Any, ...]:
        return () if self.shared_state is None else self.shared_state.arrays()

    def trained_state(self) -> list[Any]:
        """List what training changes: weights, then buffers.

        Raises:
            ValueError: the module has other parameters than when the replica was made.
        """
        buffers = [] if self.module is None else list(self.module.buffers())
        return [*parameters(self.params).arrays, *buffers]


def gather(arrays: Sequence[Any]) -> npt.NDArray[np.float32]:
    """Copy arrays and tensors into one flat float32 array, one after the other."""
    return np.concatenate([np.empty(0, np.float32), *map(_flat_copy, arrays)])


def scatter_(arrays: Sequence[Any], values: npt.NDArray[np.float32]) -> None:
    """Write what :func:`gather` gave of arrays and tensors of these sizes.

    Raises:
        ValueError: the length of values is wrong.
    """
    sizes = [size_of(array) for array in arrays]
    if values.size != sum(sizes):
        raise ValueError(
            f"the model's state has {sum(sizes)} values, got {values.size}; "
            "both sides must build the same model"
        )
    start = 0
    for array, size in zip(arrays, sizes, strict=True):
        write_(array, values[start : start + size])
        start += size


def _flat_copy(array: Any) -> npt.NDArray[np.float32]:
    if not isinstance(array, np.ndarray):
        array = array.detach().cpu()
        array = (array.float() if array.is_floating_point() else array).numpy()
    flat = np.asarray(array, dtype=np.float32).reshape(-1)
    if array.dtype.kind in "iu" and not np.array_equal(flat, array.reshape(-1)):
        raise ValueError("an integer buffer exceeds 2^24 and cannot be sent as float32")
    return flat


def write_(array: Any, values: npt.NDArray[np.float32]) -> None:
    """Write values into an array or tensor of as many elements."""
    if isinstance(array, np.ndarray):
        array[...] = values.reshape(array.shape)
        return
    import torch

    source = torch.from_numpy(values.copy()).view(array.shape)
    # The mean of integer counters (batches seen) is rounded to the nearest integer.
    array.copy_(source if array.is_floating_point() else source.round())
