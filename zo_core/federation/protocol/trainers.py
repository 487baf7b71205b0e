"""The client's half that knows model and data: with torch, or with an exported model alone."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from zo_core.data.arrays import arrays_of, require_x_and_y
from zo_core.federation.protocol.plan import Plan
from zo_core.loss.byte_items import ByteItems, Items
from zo_core.loss.items import as_items, as_labels, require_items
from zo_core.method import ClientData, RoundContext
from zo_core.payloads.core import Payload
from zo_core.replica import Replica
from zo_core.threads import (
    TRIAL_ITEMS,
    Threads,
    candidates,
    choose_threads,
    fewest_of,
    mean_seconds,
)

if TYPE_CHECKING:
    from zo_core.edge.arithmetic import ForwardArithmetic

Backend = Literal["torch", "onnx"]
Shard = tuple[Items, npt.NDArray[np.int64]]  # items and labels
_OF_GRAPHS = {"balanced": False, "criterion": "cross-entropy"}
_TRIAL_S = 0.1  # of forwards on each number of threads
HIGH_MEMORY_MIB = 2048  # from here on a device is trusted with backprop, unless told otherwise


class TorchTrainer:
    """Trains by backprop and by forwards, on the slot's shard of a data set by name.

    Args:
        data_dir: folder of data sets that are files.
        device: a torch device.
        threads: CPU threads; "auto" for the best of a trial, None for as torch has it.
        own: this device's own data in the place of the slot's shard.
    """

    def __init__(
        self,
        *,
        data_dir: Path | None = None,
        device: str = "cpu",
        threads: Threads = None,
        own: Shard | None = None,
    ) -> None:
        self._data_dir, self._device, self._own = data_dir, device, own
        self.threads = threads
        self.arithmetic: ForwardArithmetic | None = None  # torch's is the run's precision

    def join(self, plan: Plan, slot: int) -> Replica:
        """Build the model of a run and get the slot's data."""
        from zo_core.data import Split, load_dataset
        from zo_core.federation.build import (
            choose_forward,
            federated_data,
            initial_replica,
            laid_out,
        )
        from zo_core.loss.forward_mode import FORWARD_MODES

        dataset = load_dataset(plan.config.dataset, data_dir=self._data_dir)
        fresh = replace(plan.config, init=None)  # the run sends its own weights
        self._plan, self.replica = plan, initial_replica(fresh, dataset, self._device)
        shard = federated_data(plan.config, dataset, self._device).client(slot)
        if self._own is not None:
            import torch

            _require_fit(self._own, tuple(shard.x.shape[1:]), dataset.num_classes)
            x, y = (torch.from_numpy(np.asarray(part)).to(self._device) for part in self._own)
            shard = Split(x=x, y=y)
        self.threads, _ = choose_threads(self.threads, self.replica.module, shard.x)
        chosen = choose_forward(plan.config, self.replica.module, shard.x)
        self._mode = FORWARD_MODES[chosen.mode]
        self._losses = self._mode.forward_of(self.replica.module)
        shard = laid_out(shard, self._mode)
        self._client = ClientData(slot=slot, x=shard.x, y=shard.y)
        return self.replica

    def update(self, context: RoundContext) -> Payload:
        """Compute what is sent of a round; the replica ends as it was."""
        from zo_core.loss.compiled import PlainForward
        from zo_core.loss.precision import computing_in

        method = self._plan.method_at(context.round_index)
        computing = computing_in(
            self._plan.config.precision,
            self._client.x.device.type,
            forwards_only=not method.trains_locally,
        )
        losses = PlainForward() if method.trains_locally else self._losses
        with computing, self._mode.active(), losses.active():
            return method.client_update(self.replica, self._client, context)


class OnnxTrainer:
    """Trains by forwards alone, on a model that ``zobench export`` wrote; needs no torch.

    Args:
        folder: the exported model; its weights are replaced by the run's.
        mode: "memory" or "speed".
        threads: within an operator; "auto" for the best of a trial, None for one a core.
        own: this device's own data in the place of the slot's shard.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mode: str = "memory",
        threads: Threads = None,
        own: Shard | None = None,
    ) -> None:
        self._folder, self._mode, self.threads, self._own = folder, mode, threads, own
        self.arithmetic: ForwardArithmetic | None = None  # from join() on

    def join(self, plan: Plan, slot: int) -> Replica:
        """Load the model and get the slot's data; refuse an arithmetic that loses the scalars."""
        from zo_core.edge.arithmetic import measure_arithmetic
        from zo_core.edge.manifest import read_manifest

        values = plan.config.to_json()
        for name, needed in _OF_GRAPHS.items():
            if values.get(name, needed) != needed:
                raise ValueError(
                    f"{name} must be {needed} for a client without torch, whose exported model has "
                    f"the cross entropy in its graph, got {values[name]}; run this client with "
                    "torch"
                )
        manifest = read_manifest(self._folder)
        x, y = self._own or shard_arrays(plan, slot)
        _require_fit((x, y), manifest.input_shape, manifest.num_classes)
        if self.threads == "auto":
            self.threads = self._fewest_threads(x[:TRIAL_ITEMS], y[:TRIAL_ITEMS])
        self._plan, self.replica = plan, self._load(self.threads)
        self.arithmetic = measure_arithmetic(
            self.replica, manifest, micro_batch=plan.config.micro_batch
        )
        self.arithmetic.check()
        self._client = ClientData(slot=slot, x=x, y=y)
        return self.replica

    def _fewest_threads(self, x: Any, y: Any) -> int:
        """Time a forward on each number of threads, one session after the other."""
        return fewest_of({str(number): self._mean_s(number, x, y) for number in candidates()})

    def _mean_s(self, threads: int, x: Any, y: Any) -> float:
        replica = self._load(threads)
        replica.mean_loss(x, y)  # builds what later forwards find built
        return mean_seconds(lambda: replica.mean_loss(x, y), _TRIAL_S)

    def _load(self, threads: int | None) -> Replica:
        from zo_core.edge.load import load_replica
        from zo_core.edge.onnx_loss import session_settings

        settings = replace(session_settings(self._mode), threads=threads)
        return load_replica(self._folder, mode=settings)

    def update(self, context: RoundContext) -> Payload:
        """Compute what is sent of a round; the replica ends as it was."""
        method = self._plan.method_at(context.round_index)
        return method.client_update(self.replica, self._client, context)


def choose_backend(
    *, model: Path | None, memory_mib: float, high_mib: float
) -> tuple[Backend, bool]:
    """Choose how a device takes part: by what is installed, and by its memory.

    Args:
        model: an exported model's folder, if there is one.
        memory_mib: the device's.
        high_mib: from which memory on it is asked for backprop.

    Returns:
        The back end, and whether the device is high-resource.

    Raises:
        ImportError: neither torch nor onnxruntime is installed.
        ValueError: onnxruntime is installed, but there is no exported model.
    """
    has_torch = importlib.util.find_spec("torch") is not None
    if has_torch and memory_mib >= high_mib:
        return "torch", True
    has_onnx = importlib.util.find_spec("onnxruntime") is not None
    if model is not None and has_onnx:
        return "onnx", False
    if has_torch:
        return "torch", False
    if has_onnx:
        raise ValueError(
            "without torch this device needs an exported model: run `zobench export` on another "
            "machine, then add --model DIR"
        )
    raise ImportError(
        'neither torch nor onnxruntime is installed: pip install "zobench[edge]" (onnxruntime) or '
        '"zobench[bench]" (torch)'
    )


def shard_arrays(plan: Plan, slot: int) -> Shard:
    """Get a slot's training shard without torch; the same bits as with it.

    Raises:
        ValueError: the data set can be had with torch alone.
        FileNotFoundError: it is a file that is not in the current folder.
    """
    from zo_core.data.arrays_by_name import load_arrays, partition_of

    arrays, config = load_arrays(plan.config.dataset), plan.config
    partition = partition_of(
        arrays.groups,
        arrays.clients,
        clients=config.clients,
        alpha=config.alpha,
        holdout_share=config.holdout_share,
        run_seed=config.run_seed,
    )
    mine = partition.train[slot]
    x: Items = arrays.x[mine]
    if arrays.scaling is not None:
        x = arrays.scaling.as_bytes(arrays.x[mine])
    return x, arrays.y[mine]


def load_shard(path: Path) -> Shard:
    """Read a device's own data: arrays ``x`` (items, ...) and ``y`` (items,) of an .npz file.

    Raises:
        DataError: the file has no such arrays, or they are no items with labels; what depends on
            the run's model is checked when the run is known.
        OSError: it cannot be read.
    """
    arrays = arrays_of(path)
    require_x_and_y(arrays, str(path))
    x, labels = arrays["x"], as_labels(arrays["y"], str(path))
    is_bytes = x.dtype == np.uint8 and x.ndim > 0
    items: Items = ByteItems(x) if is_bytes else as_items(x, str(path))
    any_class = int(labels.max(initial=0)) + 1
    require_items(items, labels, num_classes=any_class, where=str(path))
    return items, labels


def _require_fit(own: Shard, shape: tuple[int, ...], num_classes: int) -> None:
    require_items(*own, num_classes=num_classes, shape=shape, where="this device's data")
