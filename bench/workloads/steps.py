"""What the suite measures, as functions that a fresh process can be told to run by name.

They take plain JSON, return dataclasses and import torch only when they run, so that a measured
process holds nothing but what the work needs.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

import devices
from bench.step_variants import NotAdmitted
from bench.workloads.low_memory_steps import bind_low_memory_step, micro_batch_of
from devices.heap import mmap_threshold_bytes

if TYPE_CHECKING:
    import torch

    from bench.records.details.training import TrainDetails
    from devices.tensor_peak import TensorPeak

STEP_METHODS = ("inference", "zo", "fedavg")
# Environment of a process whose memory is measured: glibc gives each freed block of 16 pages (64
# KiB on most machines) or more back to the system. By default it learns to keep blocks of up to 32
# MiB for later, a third of a step's peak and different at each run, which would hide what the step
# itself needs.
RETURN_BLOCKS = {"MALLOC_MMAP_THRESHOLD_": str(mmap_threshold_bytes())}
# And of one that runs beside another on the same cores: threads that wait for work do not spin,
# which would take the other's time. It changes no byte.
BESIDE_OTHERS = {"OMP_WAIT_POLICY": "PASSIVE"}
# Environment of a process that has one core to itself, beside others.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_RUN_SEED = 2509_03503  # any number; the directions follow from it
EPSILON, TAU = 1e-4, 0.75
# A cost must not depend on a learning rate: steps are so small that no number of them diverges.
LR = 2.0**-30
# What a measured ZO step takes for its two losses, and its next step the other way round. With LR a
# weight moves by 15 quanta of a tensor whose largest weight is just below 1.
STEADY_LOSSES = (0.25, -0.25)
_MICRO_BATCHES_SEEN = 3


def worked_through(items: int, micro_batch: int) -> int:
    """Count the items, of those held, over which memory is measured.

    A few micro-batches tell the peak: each gives back what it took before the next begins.
    """
    return min(items, _MICRO_BATCHES_SEEN * micro_batch)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredStep:
    """The memory of one step."""

    region: devices.Measurement  # the host's
    device: devices.DeviceMemory | None  # on CUDA

    def details(self) -> dict[str, Any]:
        """Describe it for the record."""
        on_device = {} if self.device is None else {"device": self.device.to_json()}
        return self.region.to_json() | on_device


def measure_step_memory(
    model: str,
    method: str,
    batch: int,
    images: int | None = None,
    *,
    device: str = "cpu",
    precision: str = "fp32",
) -> MeasuredStep:
    """Measure the peak memory of one step in this process, as the system or the driver sees it.

    An unmeasured step comes first, over one batch, so that what a library loads or builds once is
    no part of the region.  "inference" is two consecutive forwards: as many as a ZO step's
    direction takes.

    Args:
        model: as :func:`zo_core.model_names.parse_model` takes it.
        method: a name in STEP_METHODS.
        batch: items a forward.
        images: items of a whole client set, held; the first few micro-batches of it are worked
            through. None for one batch.
        device: "cpu" or "cuda".
        precision: a name in PRECISIONS of zo_core.config; none is refused here.
    """
    devices.phase("set-up")
    step, burn_in = _make_steps(model, method, batch, images, device=device, precision=precision)
    devices.phase("burn-in")
    burn_in()
    devices.phase("region")
    if device == "cpu":
        with devices.measure() as region:
            step()
        return MeasuredStep(region=region, device=None)
    with devices.measure_device() as on_device, devices.measure() as region:
        step()
    return MeasuredStep(region=region, device=on_device)


def measure_tensor_peaks(
    model: str,
    methods: list[str],
    batch: int,
    images: int | None = None,
    *,
    device: str = "cpu",
    precision: str = "fp32",
) -> dict[str, TensorPeak | NotAdmitted]:
    """Measure the peak of live tensors of one step of each method, on one model, by turns.

    Weights and inputs count, and what the step makes; what the allocator and the system do about
    it does not matter here, so no step comes before.  Arguments as in :func:`measure_step_memory`.

    Returns:
        The peak by method, or why the model's layers do not admit the method.
    """
    from bench.models.load import load_model

    loaded = load_model(model).to(device)
    x, y = (part.to(device) for part in loaded.batch(images or batch))
    peaks: dict[str, TensorPeak | NotAdmitted] = {}
    # Backprop first: tables that a layer keeps from a forward in inference mode cannot take part.
    for method in sorted(methods, key=lambda name: not name.startswith(("fedavg", "backprop"))):
        try:
            with _computing(method, device, precision):
                peaks[method] = _tensor_peak(loaded.module, x, y, method, batch)
        except ValueError as error:
            peaks[method] = NotAdmitted(error=str(error))
    return peaks


def _tensor_peak(module: Any, x: Any, y: Any, method: str, micro_batch: int) -> TensorPeak:
    from devices.tensor_memory import track_tensors

    seen = worked_through(len(x), micro_batch)
    step = bind_step(module, x[:seen], y[:seen], method, micro_batch=micro_batch)
    with track_tensors(parameters=module.parameters(), existing=[*module.buffers(), x, y]) as peak:
        step()
    return peak.result()


def make_step(
    model: str, method: str, batch: int, device: str = "cpu", precision: str = "fp32"
) -> Callable[[], object]:
    """Build a model and a batch, and return the step to be timed, synchronised with the device."""
    step, _ = _make_steps(model, method, batch, None, device=device, precision=precision)
    if device == "cpu":
        return step

    def synchronised() -> None:
        step()
        devices.synchronise()

    return synchronised


def bind_step(
    module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, method: str, *, micro_batch: int
) -> Callable[[], object]:
    """Return one step of a method over all of x, in micro-batches.

    A ZO step and inference are exact in micro-batches; "fedavg" takes an SGD step for each.  A
    method of :mod:`bench.workloads.low_memory_steps` cuts x up as its name says.
    """
    if method.startswith("backprop-"):
        return bind_low_memory_step(module, x, y, method, lr=LR)
    own = micro_batch_of(method)
    return _METHODS["zo" if own else method](module, x, y, own or micro_batch)


def build(model: str) -> torch.nn.Module:
    """Build a model by name, on the CPU."""
    from bench.models.load import load_model

    return load_model(model).module


def images(model: str, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Make a batch for a model by name."""
    from bench.models.load import load_model

    return load_model(model).batch(batch)


def _make_steps(
    model: str, method: str, batch: int, images: int | None, *, device: str, precision: str
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Bind the step, over several micro-batches of a whole set, and its burn-in over one."""
    from bench.models.load import load_model

    loaded = load_model(model).to(device)
    x, y = (part.to(device) for part in loaded.batch(images or batch))

    def bound(items: int) -> Callable[[], object]:
        step = bind_step(loaded.module, x[:items], y[:items], method, micro_batch=batch)

        def computed() -> None:
            with _computing(method, device, precision):
                step()

        return computed

    step = bound(worked_through(len(x), batch))
    return step, (step if images is None else bound(batch))


def _computing(method: str, device: str, precision: str) -> AbstractContextManager[None]:
    """Compute a method's step in a precision, whatever this process is set to."""
    from zo_core.loss.precision import computing_in

    by_backprop = method.startswith(("fedavg", "backprop"))
    return computing_in(precision, device, forwards_only=not by_backprop)


def _inference(module: Any, x: Any, y: Any, micro_batch: int) -> Callable[[], object]:
    from zo_core.loss.module_loss import mean_loss

    return lambda: [mean_loss(module, x, y, micro_batch=micro_batch) for _ in range(2)]


def _zo_step(module: Any, x: Any, y: Any, micro_batch: int) -> Callable[[], object]:
    """One direction of ZOWarmUp on the grid: two forwards, three passes, one replay.

    The losses are computed and not used: whatever the model makes of its inputs, the step is of
    one size, and neither diverges nor ends in an error.
    """
    from zo_core import ZOSGD, snap_
    from zo_core.loss.module_loss import mean_loss

    optimizer = ZOSGD(
        module, lr=LR, epsilon=EPSILON, tau=TAU, grid=snap_(module), run_seed=_RUN_SEED
    )
    losses = cycle((*STEADY_LOSSES, *reversed(STEADY_LOSSES)))

    def loss() -> float:
        mean_loss(module, x, y, micro_batch=micro_batch)
        return next(losses)

    return lambda: optimizer.step(loss)


def _fedavg_step(module: Any, x: Any, y: Any, micro_batch: int) -> Callable[[], object]:
    """FedAvg's local SGD: forward, backward, update, for each batch."""
    from zo_core.first_order.sgd import sgd_step_
    from zo_core.loss.module_loss import micro_batches

    def step() -> None:
        module.train()
        for inputs, targets in micro_batches(x, y, micro_batch):
            sgd_step_(module, inputs, targets, lr=LR)

    return step


_METHODS = {"inference": _inference, "zo": _zo_step, "fedavg": _fedavg_step}


def train(config: dict[str, Any], device: str = "cpu") -> TrainDetails:
    """Run one whole training in this process.

    Args:
        config: what zo_core.algorithms.train_config takes.
        device: "cpu" or "cuda".
    """
    from bench.records.training_metrics import train_details
    from zo_core.algorithms import train_config
    from zo_core.data import load_dataset
    from zo_core.federation.simulation.training import Training

    chosen = train_config(**config)
    training = Training(chosen, load_dataset(chosen.dataset), device=device)
    with devices.measure() as region:
        record = training.run()
    return train_details(record, region.to_json())
