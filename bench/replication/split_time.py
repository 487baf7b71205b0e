"""What split directions cost in time: one client's round for k = 1 and k = 10 side by side, and the
replay of 1,500 directions in scalar adds.

``python -m bench.replication.split_time`` on an otherwise idle machine; ``--model cnn --items 100``
shows in seconds that it runs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from zo_core import apply_updates_
from zo_core.algorithms import build_algorithm, train_config
from zo_core.method import ClientData, RoundContext
from zo_core.models import build_model
from zo_core.replica import Replica

DIRECTIONS = 1_500  # 10 participants, S = 3, k = 50
PARTS = (1, 10)


def client_seconds(
    replica: Replica, client: ClientData, *, micro_batch: int, repeats: int
) -> dict[int, float]:
    """Time a client's update for each k in turn, in seconds; the median of the repeats."""
    context = RoundContext(
        run_seed=1, run_id=1, round_index=200, cohort=(0,), samples=(len(client.x),)
    )
    methods = {
        k: build_algorithm(train_config("zowarmup-split", splits=k, micro_batch=micro_batch), (0,))
        .phases[1]
        .method
        for k in PARTS
    }
    taken: dict[int, list[float]] = {k: [] for k in PARTS}
    for turn in range(repeats + 1):
        for k, method in methods.items():
            seconds = _seconds(partial(method.client_update, replica, client, context))
            taken[k] += [seconds] if turn else []  # the first turn warms up
    return {k: statistics.median(seconds) for k, seconds in taken.items()}


def replay_in_adds(replica: Replica) -> float:
    """Time the replay of 1,500 directions as a multiple of adding a number to all weights."""
    updates = [(seed, 1e-4) for seed in range(DIRECTIONS)]
    weights = [torch.as_tensor(array) for array in replica.params.arrays]
    adds = statistics.median(
        _seconds(lambda: [array.add_(0.0) for array in weights]) for _ in range(21)
    )
    replay = _seconds(
        lambda: apply_updates_(replica.params, updates, 1e-6, epsilon=1e-4, grid=replica.grid)
    )
    return replay / adds


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="resnet18", help="model of 32x32 images")
    parser.add_argument("--items", type=int, default=900, help="a client's items")
    parser.add_argument("--micro-batch", type=int, default=90, help="items per forward, at most")
    parser.add_argument("--repeats", type=int, default=3, help="measured rounds of each k")
    options = parser.parse_args()
    model = build_model(
        options.model, num_classes=10, in_channels=3, image_size=32, norm="group", run_seed=1
    )
    replica = Replica(model)
    replica.snap_()
    x, y = torch.randn(options.items, 3, 32, 32), torch.randint(10, (options.items,))
    client = ClientData(slot=0, x=x, y=y)
    seconds = client_seconds(
        replica, client, micro_batch=options.micro_batch, repeats=options.repeats
    )
    print(", ".join(f"k = {k}: {s:.2f} s" for k, s in seconds.items()))
    print(f"ratio {seconds[PARTS[1]] / seconds[PARTS[0]]:.3f}")
    print(f"replay of {DIRECTIONS} directions: {replay_in_adds(replica):.0f} scalar adds")


if __name__ == "__main__":
    main()
