"""One federated round of a client, with torch and without, as functions for fresh processes.

They take and give plain JSON and import torch only where the client has it, so that a measured
process holds nothing but what that client needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import devices
from bench.paper import LOCAL_EPOCHS
from bench.records.details.arithmetic import ForwardArithmetic
from bench.workloads.steps import EPSILON, LR, STEADY_LOSSES, TAU, bind_step
from bench.workloads.timing import take_turns, time_once
from devices.memory import read_host_memory

_RUN_SEED = 2509_03503  # any number; data and directions follow from it

Round = Callable[[int], object]  # over the first so many items


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One client's round."""

    client: str  # a name in _ROUNDS
    source: str  # a model's name; for the clients on ONNX Runtime, the folder of its export
    images: int  # that the client holds
    micro_batch: int  # images a forward, or a step of FedAvg
    directions: int  # S; FedAvg has none
    items: int | None = None  # compute over the first so many alone


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundMemory:
    """The peak memory of a client's round."""

    region: devices.Measurement  # of the round
    process_peak_bytes: int | None  # since the process began


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeTraining:
    """What came of a training whose low-resource clients ran on ONNX Runtime."""

    test_accuracy: float  # share, at the end
    digest: str | None  # hex, of the server's final state
    edge_digest: str  # hex, of the replica without torch
    rounds_checked: int  # results after which both back ends held one digest
    arithmetic: ForwardArithmetic  # of the replica without torch


def make_plan(model: str, client: str, size: tuple[int, int, int]) -> dict[str, Any]:
    """Make the fields of a :class:`Plan`.

    Args:
        model: by name; exported first for a client on ONNX Runtime.
        client: "onnx-memory", "onnx-speed", "torch" or "fedavg".
        size: images, micro-batch, directions.

    Raises:
        RuntimeError: the export failed.
    """
    images, micro_batch, directions = size
    return {
        "client": client,
        "source": exported(model) if client.startswith("onnx") else model,
        "images": images,
        "micro_batch": micro_batch,
        "directions": directions,
    }


@cache
def exported(model: str) -> str:
    """Export a model once a run, into a folder that ends with this process."""
    import atexit
    import tempfile

    from bench.workloads.child import TRIAL_TIMEOUT_S

    folder = tempfile.TemporaryDirectory(prefix="zobench-export-")
    atexit.register(folder.cleanup)
    run = devices.run_isolated(
        "bench.workloads.edge:export", model, folder.name, timeout_s=TRIAL_TIMEOUT_S
    )
    if run.status != "ok":
        raise RuntimeError(f"{model} was not exported: {run.error}")
    return folder.name


def export(model: str, folder: str) -> None:
    """Export a model by name, on the grid, as a server does for its clients."""
    from bench.models.load import load_model
    from zo_core import snap_
    from zo_core.edge.export import export_model

    loaded = load_model(model)
    grid = snap_(loaded.module)
    export_model(loaded.module, Path(folder), example=loaded.batch(2), name=model, grid=grid)


def measure_round_memory(plan: dict[str, Any]) -> RoundMemory:
    """Measure the peak memory of a client's round in this process.

    Loading the model and an unmeasured round over one micro-batch come first; the process's own
    peak counts them too.

    Args:
        plan: fields of :class:`Plan`.
    """
    devices.phase("set-up")
    chosen = Plan(**plan)
    run_round = _ROUNDS[chosen.client](chosen)
    devices.phase("burn-in")
    run_round(min(chosen.micro_batch, chosen.images))
    first_peak = read_host_memory().peak_rss_bytes
    devices.phase("region")
    with devices.measure() as region:
        run_round(chosen.items or chosen.images)
    whole = None
    if first_peak is not None and region.peak_bytes.value is not None:
        whole = max(first_peak, int(region.peak_bytes.value))
    return RoundMemory(region=region, process_peak_bytes=whole)


def measure_client_arithmetic(plan: dict[str, Any]) -> ForwardArithmetic:
    """Ask the session of a client without torch how it computes, and compare its scalars.

    Args:
        plan: fields of :class:`Plan`, of a client on ONNX Runtime.

    Raises:
        PrecisionError: its arithmetic loses the scalars.
    """
    from bench.records.typed_json import from_json
    from zo_core.edge.arithmetic import measure_arithmetic
    from zo_core.edge.load import load_replica
    from zo_core.edge.manifest import read_manifest

    chosen = Plan(**plan)
    folder, mode = Path(chosen.source), chosen.client.removeprefix("onnx-")
    replica = load_replica(folder, mode=mode)
    found = measure_arithmetic(replica, read_manifest(folder), micro_batch=chosen.micro_batch)
    found.check()
    return from_json(ForwardArithmetic, found.to_json())


def time_round(plan: dict[str, Any], repeats: int) -> list[float]:
    """Time a client's round, in seconds, after an unmeasured one.

    Args:
        plan: fields of :class:`Plan`.
        repeats: how often.
    """
    chosen = Plan(**plan)
    run_round = _ROUNDS[chosen.client](chosen)
    return take_turns({"round": lambda: run_round(chosen.images)}, repeats)["round"]


def seconds_to_import(modules: str) -> float:
    """Time the import of modules, comma-separated, in this process."""
    return time_once(lambda: [__import__(module) for module in modules.split(",")])


def _edge_round(plan: Plan, mode: Any) -> Round:
    from zo_core.edge.load import load_replica
    from zo_core.edge.manifest import read_manifest
    from zo_core.loss.byte_items import ByteItems

    folder = Path(plan.source)
    replica, manifest = load_replica(folder, mode=mode), read_manifest(folder)
    shape = (plan.images, *manifest.input_shape)
    pixels = np.frombuffer(Random(_RUN_SEED).randbytes(math.prod(shape)), np.uint8)
    images = ByteItems(pixels.reshape(shape), mean=127.5, std=74.0)  # of uniform bytes
    return _zo_round(plan, replica, images, np.arange(plan.images) % manifest.num_classes)


def _torch_round(plan: Plan) -> Round:
    from bench.models.load import load_model
    from zo_core.federation import Replica

    loaded = load_model(plan.source)
    replica = Replica(loaded.module.eval())
    replica.snap_()
    return _zo_round(plan, replica, *loaded.batch(plan.images))


def _zo_round(plan: Plan, replica: Any, x: Any, y: Any) -> Round:
    """The client's half and then everyone's: S scalars, one replay."""
    from zo_core.algorithms.steps.zeroth_order import ZerothOrderStep
    from zo_core.method import ClientData, RoundContext

    method = ZerothOrderStep(
        directions=plan.directions,
        epsilon=EPSILON,
        tau=TAU,
        lr=LR,
        micro_batch=plan.micro_batch,
    )

    def run_round(items: int) -> None:
        context = RoundContext(
            run_seed=_RUN_SEED, run_id=0, round_index=0, cohort=(0,), samples=(items,)
        )
        client = ClientData(slot=0, x=x[:items], y=y[:items])
        update = method.client_update(replica, client, context)
        method.server_result(replica, [_steady(update)], context)

    return run_round


def _steady(update: Any) -> Any:
    """Return an update of the same bytes whose step is of one size, so that no model diverges."""
    plus, minus = STEADY_LOSSES
    signs = (-1.0) ** np.arange(update.differences.size, dtype=np.float32)
    return replace(update, differences=signs * np.float32(plus - minus))


def _fedavg_round(plan: Plan) -> Round:
    """Local SGD by backprop: one step over one batch, the paper's epochs over a whole shard."""
    from bench.models.load import load_model

    loaded = load_model(plan.source)
    x, y = loaded.batch(plan.images)

    def run_round(items: int) -> None:
        step = bind_step(
            loaded.module, x[:items], y[:items], "fedavg", micro_batch=plan.micro_batch
        )
        for _ in range(LOCAL_EPOCHS if items > plan.micro_batch else 1):
            step()

    return run_round


_ROUNDS: dict[str, Callable[[Plan], Round]] = {
    "onnx-memory": lambda plan: _edge_round(plan, "memory"),
    "onnx-speed": lambda plan: _edge_round(plan, "speed"),
    "torch": _torch_round,
    "fedavg": _fedavg_round,
}
