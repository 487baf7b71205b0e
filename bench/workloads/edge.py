"""One federated round of a client, with torch and without, as functions for fresh processes.

They take and give plain JSON and import torch only where the client has it, so that a measured
process holds nothing but what that client needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import devices
from bench.paper import LOCAL_EPOCHS
from bench.workloads.steps import EPSILON, LR, TAU, bind_step
from devices.memory import read_host_memory

CLIENTS = ("onnx-memory", "onnx-speed", "torch", "fedavg")
_RUN_SEED = 2509_03503  # any number; data and directions follow from it
_TURNS = 3  # of a trial; the fastest counts

Round = Callable[[int], object]  # over the first so many items


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One client's round."""

    client: str  # a name in CLIENTS
    source: str  # a model's name; for the clients on ONNX Runtime, the folder of its export
    images: int  # that the client holds
    micro_batch: int  # images a forward, or a step of FedAvg
    directions: int  # S; FedAvg has none
    items: int | None = None  # compute over the first so many alone


def export(model: str, folder: str) -> None:
    """Export a model by name, on the grid, as a server does for its clients."""
    from bench.models.load import load_model
    from zo_core import snap_
    from zo_core.edge.export import export_model

    loaded = load_model(model)
    grid = snap_(loaded.module)
    export_model(loaded.module, Path(folder), example=loaded.batch(2), name=model, grid=grid)


def measure_round_memory(plan: dict[str, Any]) -> dict[str, Any]:
    """Measure the peak memory of a client's round in this process.

    Loading the model and an unmeasured round over one micro-batch come first; the process's own
    peak counts them too.

    Args:
        plan: fields of :class:`Plan`.

    Returns:
        devices.Measurement as JSON, with "process_peak_bytes", the peak since the process began.
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
    return region.to_json() | {"process_peak_bytes": whole}


def time_round(plan: dict[str, Any], repeats: int) -> list[float]:
    """Time a client's round, in seconds, after an unmeasured one.

    Args:
        plan: fields of :class:`Plan`.
        repeats: how often.
    """
    chosen = Plan(**plan)
    run_round = _ROUNDS[chosen.client](chosen)
    run_round(chosen.images)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        run_round(chosen.images)
        seconds.append(time.perf_counter() - started)
    return seconds


def try_settings(plan: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Run a round under some session settings: its seconds, and the process's peak.

    Args:
        plan: fields of :class:`Plan`; its client is one on ONNX Runtime.
        settings: fields of zo_core.edge.onnx_loss.SessionSettings.
    """
    from zo_core.edge.onnx_loss import SessionSettings

    chosen = Plan(**plan)
    run_round = _edge_round(chosen, SessionSettings(**settings))
    run_round(min(chosen.micro_batch, chosen.images))
    peak_bytes = read_host_memory().peak_rss_bytes
    seconds = []
    for _ in range(_TURNS):
        started = time.perf_counter()
        run_round(chosen.images)
        seconds.append(time.perf_counter() - started)
    return {"seconds": min(seconds), "process_peak_bytes": peak_bytes}


def time_ways(source: str, images: int, repeats: int) -> dict[str, list[float]]:
    """Time a forward with the weights bound once, fed anew, and baked in, turn by turn.

    Args:
        source: folder of an exported model.
        images: of the batch.
        repeats: turns; one more comes first, unmeasured.

    Returns:
        Seconds by way: "bound" (the client's), "fed" and "constant".
    """
    import tempfile

    import onnxruntime as ort
    from safetensors.numpy import load_file

    from bench.workloads.edge_graphs import write_constant
    from bench.workloads.engine import take_turns
    from zo_core.edge.load import load_replica
    from zo_core.edge.manifest import GRAPH_FILE, INPUT, LABELS, WEIGHTS_FILE, read_manifest

    folder, manifest = Path(source), read_manifest(Path(source))
    replica = load_replica(folder, mode="speed")
    x = np.ones((images, *manifest.input_shape), np.float32)
    y = np.zeros(images, np.int64)
    with tempfile.TemporaryDirectory() as temporary:
        baked = Path(temporary) / GRAPH_FILE
        write_constant(folder, baked)
        constant, fed = ort.InferenceSession(baked), ort.InferenceSession(folder / GRAPH_FILE)
    values = load_file(folder / WEIGHTS_FILE)
    weights = {spec.input_name: values[spec.name] for spec in manifest.tensors}
    batch = {INPUT: x, LABELS: y}
    ways: dict[str, Callable[[], object]] = {
        "bound": lambda: replica.mean_loss(x, y),
        "fed": lambda: fed.run(None, batch | weights),
        "constant": lambda: constant.run(None, batch),
    }
    return take_turns(ways, repeats)


def seconds_to_import(modules: str) -> float:
    """Time the import of modules, comma-separated, in this process."""
    started = time.perf_counter()
    for module in modules.split(","):
        __import__(module)
    return time.perf_counter() - started


def _edge_round(plan: Plan, mode: Any) -> Round:
    from zo_core.edge.load import load_replica
    from zo_core.edge.manifest import read_manifest

    folder = Path(plan.source)
    replica, manifest = load_replica(folder, mode=mode), read_manifest(folder)
    rng = np.random.default_rng(_RUN_SEED)
    x = rng.standard_normal((plan.images, *manifest.input_shape), dtype=np.float32)
    return _zo_round(plan, replica, x, rng.integers(0, manifest.num_classes, plan.images))


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
        method.server_result(replica, [update], context)

    return run_round


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
