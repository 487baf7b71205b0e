"""Time a client's rounds of the paper's recipe, in this checkout or in an older one.

    python tests/gpu/round_times.py --device cuda --precision tf32
    PYTHONPATH=OLD python tests/gpu/round_times.py --device cuda --precision inherited

ResNet18 with group norm on 900 images of 32 x 32:

- zo_round_s: a round of 50 clients, three directions each, with the update and the digest
- client_s, six_forwards_s: one client's part of it, and its six forwards alone
- zo_step_over_two_forwards: at batch 1
- warm_up_s: one client's warm-up round, three epochs of batch 64

Forwards run compiled with --compiled inductor, warm-up steps by CUDA graphs where the checkout has
them.  Prints a line of JSON for each part as soon as it is known.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch

import zo_core
from zo_core import apply_updates_, digest, loss_differences, parameters, snap_
from zo_core.loss.module_loss import mean_loss
from zo_core.models import build_model

SEEDS = [11, 12, 13]  # of one client's directions
RADIUS = {"epsilon": 1e-4, "tau": 0.75}


def computing(precision: str, device: str, *, forwards_only: bool) -> AbstractContextManager[None]:
    """Return the precision's context; an older checkout has none."""
    if precision == "inherited":
        return nullcontext()
    from zo_core.loss.precision import computing_in

    return computing_in(precision, device, forwards_only=forwards_only)


def seconds(act: Callable[[], object], device: str, repeats: int, unmeasured: int = 2) -> float:
    """Time an action: the median after some unmeasured repeats."""
    times = []
    for repeat in range(repeats + unmeasured):
        started = time.perf_counter()
        act()
        if device == "cuda":
            torch.cuda.synchronize()
        if repeat >= unmeasured:
            times.append(time.perf_counter() - started)
    return statistics.median(times)


class Client:
    """What all clients of a round share: one resident model, here with the same data."""

    def __init__(self, module: Any, x: torch.Tensor, y: torch.Tensor) -> None:
        self.module, self.x, self.y = module, x, y
        self.grid, self.params = snap_(module), parameters(module)

    def forwards(self, count: int) -> None:
        for _ in range(count):
            mean_loss(self.module, self.x, self.y)

    def scalars(self, seeds: list[int]) -> list[float]:
        loss = partial(mean_loss, self.module, self.x, self.y)
        found = loss_differences(loss, self.params, seeds, grid=self.grid, **RADIUS)
        return list(map(float, found))

    def round(self, clients: int) -> None:
        updates = []
        for client in range(clients):
            seeds = [100 * client + seed for seed in SEEDS]
            updates += list(zip(seeds, self.scalars(seeds), strict=True))
        apply_updates_(self.params, updates, 1e-4, grid=self.grid, **RADIUS)
        digest(self.module, self.grid)


def report(**found: object) -> None:
    print(json.dumps(found), flush=True)


def graphed(module: Any, device: str) -> Any:
    """Return the module's steps by graphs; None in an older checkout and on the CPU."""
    if device != "cuda":
        return None
    try:
        from zo_core.first_order.graphed_steps import GraphedSteps
    except ImportError:
        return None
    return GraphedSteps(module)


def compiled(module: Any, backend: str | None) -> Any:
    """Return the module's compiled forward; None where no backend is named."""
    if backend is None:
        return None
    from zo_core.loss.compiled import CompiledForward

    return CompiledForward(module, backend=backend)


def warm_up(module: Any, x: torch.Tensor, y: torch.Tensor) -> None:
    try:
        from zo_core.first_order.sgd import local_sgd_
    except ImportError:  # before the folder was made
        from zo_core.local_sgd import local_sgd_
    who = {"run_seed": 0, "round_index": 0, "client_id": 0}
    local_sgd_(module, x, y, lr=1e-3, epochs=3, batch_size=64, **who)


def main() -> None:
    """Time all and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--items", type=int, default=900)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--compiled", metavar="BACKEND", help="of torch.compile")
    arguments = parser.parse_args()
    device, repeats = arguments.device, arguments.repeats
    module = build_model(
        arguments.model, num_classes=10, in_channels=3, image_size=32, run_seed=0
    ).to(device)
    x = torch.randn(arguments.items, 3, 32, 32, device=device)
    y = torch.arange(arguments.items, device=device) % 10
    take = partial(seconds, device=device, repeats=repeats)
    report(precision=arguments.precision, checkout=zo_core.__file__)
    module.eval()
    all_items = Client(module, x, y)
    forwards_by = compiled(module, arguments.compiled)
    with (
        computing(arguments.precision, device, forwards_only=True),
        forwards_by.active() if forwards_by else nullcontext(),
    ):
        report(client_s=take(lambda: all_items.scalars(SEEDS)))
        a_round = partial(all_items.round, arguments.clients)
        report(zo_round_s=take(a_round, repeats=min(repeats, 3), unmeasured=1))
        report(six_forwards_s=take(lambda: all_items.forwards(6)))
        one_item = Client(module, x[:1], y[:1])
        step_s = take(lambda: one_item.scalars(SEEDS[:1]), repeats=10 * repeats)
        forwards_s = take(lambda: one_item.forwards(2), repeats=10 * repeats)
        report(zo_step_batch_1_s=step_s, zo_step_over_two_forwards=step_s / forwards_s)
    if forwards_by:  # for all items, and for one
        report(compilations=forwards_by.compilations)
    with computing(arguments.precision, device, forwards_only=False):
        steps = graphed(module, device)
        with steps.active() if steps else nullcontext():
            report(warm_up_s=take(lambda: warm_up(module, x, y)))
        if steps:
            report(graphs=steps.captures, graph_failure=steps.failure)


if __name__ == "__main__":
    main()
