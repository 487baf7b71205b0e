"""Functions that the tests run in fresh processes; imports nothing that they don't measure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import devices
from zo_core import apply_updates_, loss_differences, perturb_, snap_


def extra_bytes(operation: str, elements: int) -> Any:
    """Peak above the baseline of one operation on a warm float32 array of that many elements."""
    weights = np.full(elements, 0.02, dtype=np.float32)
    small = np.full(40_000, 0.02, dtype=np.float32)
    _OPERATIONS[operation](small)  # burn-in: imports, thread stacks
    with devices.measure() as region:
        _OPERATIONS[operation](weights)
    return region.peak_above_baseline_bytes.value


def extra_bytes_of_payload(body_hex: str) -> Any:
    """Peak above the baseline of decoding a body that must be refused."""
    from zo_core.payloads.core import Payload, PayloadError

    body = bytes.fromhex(body_hex)
    refused = 0
    with devices.measure() as region:
        try:
            Payload.decode(body)
        except PayloadError:
            refused = 1
    return [refused, region.peak_above_baseline_bytes.value]


def _replay(weights: Any) -> None:
    apply_updates_([weights], [(seed, 0.1) for seed in range(3)], 0.01, epsilon=1e-3)


_OPERATIONS = {
    "perturb": lambda w: perturb_([w], seed=1, scale=0.5),
    "perturb strided": lambda w: perturb_([w[::2]], seed=1, scale=0.5),
    "gaussian": lambda w: perturb_([w], seed=1, scale=0.5, distribution="gaussian"),
    "sphere": lambda w: perturb_([w], seed=1, scale=0.5, distribution="sphere"),
    "differences": lambda w: loss_differences(lambda: 0.0, [w], [1, 2], epsilon=1e-3),
    "snap": lambda w: snap_([w]),
    "replay": _replay,
    "copy": lambda w: w + 1.0,  # what the meter must see
}


def file_pages_released() -> list[int]:
    """Resident bytes of files after onnxruntime's import, and after the release."""
    import onnxruntime  # noqa: F401

    from zo_core.edge.release import release_loaded

    before = devices.read_host_memory().file_bytes
    release_loaded()
    return [before or 0, devices.read_host_memory().file_bytes or 0]


def client_round(folder: str, features: int) -> dict[str, Any]:
    """One client's round of an exported linear model: its memory, and what is imported for it."""
    import sys
    from pathlib import Path

    from zo_core.algorithms.steps.zeroth_order import ZerothOrderStep
    from zo_core.edge.load import load_replica
    from zo_core.method import ClientData, RoundContext

    rng = np.random.default_rng(0)
    client = ClientData(
        slot=0,
        x=rng.standard_normal((2, features), dtype=np.float32),
        y=np.array([1, 2]),
    )
    method = ZerothOrderStep(directions=2, epsilon=1e-3, tau=1.0, lr=1e-9, micro_batch=1)
    context = RoundContext(run_seed=1, run_id=1, round_index=0, cohort=(0,), samples=(2,))
    import onnxruntime  # noqa: F401  # its own memory is no weights'

    from zo_core.edge.release import release_loaded

    release_loaded()  # as loading will, so that it frees nothing of the baseline
    with devices.measure() as region:
        replica = load_replica(Path(folder))
        update = method.client_update(replica, client, context)
        method.server_result(replica, [update], context)
    standard = sys.stdlib_module_names
    packages = {name.split(".")[0] for name, module in sys.modules.items() if _is_file(module)}
    return {
        "extra_bytes": region.peak_above_baseline_bytes.value,
        "torch": "torch" in sys.modules,
        "packages": sorted(name for name in packages - standard if not name.startswith("_")),
        "digest": replica.digest().hex(),
    }


def _is_file(module: Any) -> bool:
    return getattr(module, "__file__", None) is not None


def memory_of_batch_sizes(sizes: int, is_bounded: bool) -> float:
    """Run forwards of so many batch sizes; return the peak above that of one size, in bytes."""
    import torch
    from torch import nn

    import devices
    from zo_core.federation.simulation.kernel_cache import bound_kernel_cache

    layers = [nn.Conv2d(16 if index else 3, 16, 3, padding=1) for index in range(5)]
    module, x = nn.Sequential(*layers), torch.randn(sizes + 1, 3, 4, 4)
    if is_bounded:
        bound_kernel_cache(module)
    with torch.inference_mode():
        module(x)
        with devices.measure() as region:
            for items in range(1, sizes + 1):
                module(x[:items])
    return region.peak_above_baseline_bytes.value or 0.0


def memory_of_shard_sizes(sizes: int) -> float:
    """Simulate a ZO round of 200 clients whose shards have so many sizes.

    Returns:
        The peak of a round above the memory after one whose shards all have one size, in bytes.
    """
    import torch

    from zo_core.algorithms import train_config
    from zo_core.data.synthetic import synthetic_blobs
    from zo_core.federation.simulation.training import Training

    torch.set_num_threads(1)
    clients, items = 200, 200
    config = train_config(
        "mezo",
        dataset="synthetic",
        model="cnn",
        clients=clients,
        zo_cohort=clients,
        rounds=2,
        pivot=0,
        holdout_share=0.0,
    )
    training = Training(config, synthetic_blobs(train_items=clients * items))
    whole = training.client_data

    def cut(slot: int) -> Any:
        client, count = whole(slot), items - slot % sizes
        return replace(client, x=client.x[:count], y=client.y[:count])

    training.step(0)
    training.client_data = cut  # type: ignore[method-assign]
    with devices.measure() as region:
        training.step(1)
    return region.peak_above_baseline_bytes.value or 0.0
