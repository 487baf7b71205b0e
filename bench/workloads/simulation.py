"""What a simulated round costs beside its forwards, as functions that a fresh process runs by name.

They take and give plain JSON, and import torch only when they run.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import devices
from bench.workloads.timing import take_turns

if TYPE_CHECKING:
    from zo_core.federation.simulation.training import Training

_RUN_SEED = 2509_03503


def time_simulation(
    model: str, clients: int, images: int, directions: int, repeats: int, *, device: str = "cpu"
) -> dict[str, list[float]]:
    """Time whole zeroth-order rounds, and the bare forwards of the same samples, turn by turn.

    The bare forwards are the module's alone, without a loss, in evaluation and inference mode.

    Args:
        model: a name in MODELS.
        clients: all take part in each round.
        images: 3x32x32, of each client, at once in one forward.
        directions: S.
        repeats: turns; one more comes first, unmeasured.
        device: "cpu" or "cuda".

    Returns:
        Seconds of each turn: "forwards" and "round".
    """
    import torch

    from zo_core.loss.precision import computing_in

    training = _training(
        model,
        clients=clients,
        images=images,
        directions=directions,
        rounds=repeats + 1,
        device=device,
    )
    module = training.replica.module
    rounds = count()

    def simulated_round() -> None:
        training.step(next(rounds))
        devices.synchronise()

    def forwards() -> None:
        with torch.inference_mode(), computing_in("fp32", device, forwards_only=True):
            for slot in range(clients):
                x = training.client_data(slot).x
                for _ in range(2 * directions):
                    module(x)
        devices.synchronise()

    return take_turns({"round": simulated_round, "forwards": forwards}, repeats)


def _training(
    model: str, *, clients: int, images: int, directions: int, rounds: int, device: str
) -> Training:
    """Build a run of phase two alone over random images, its steps too small to widen anything."""
    from zo_core.algorithms import train_config
    from zo_core.data import synthetic_blobs
    from zo_core.federation.simulation.training import Training

    data = synthetic_blobs(
        train_items=clients * images, test_items=10, channels=3, image_size=32, noise=1.0
    )
    config = train_config(
        dataset="synthetic",
        model=model,
        run_seed=_RUN_SEED,
        clients=clients,
        warmup_cohort=1,
        high_share=0.5,
        alpha=1e6,
        holdout_share=0.0,
        rounds=rounds,
        pivot=0,
        directions=directions,
        zo_server_lr=1e-6,
        forward="auto",
    )
    return Training(config, data, device=device)
