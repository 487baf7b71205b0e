"""Time a client's rounds of the paper's recipe, in this checkout or in an older one.

    python tests/gpu/round_times.py --device cuda --precision tf32
    PYTHONPATH=OLD python tests/gpu/round_times.py --device cuda --precision inherited

ResNet18 with group norm on 900 images of 32 x 32: one ZO round of three directions with the update
and the digest, the six forwards of it alone, a step at batch 1, a warm-up round of three epochs.
Forwards run compiled with --compiled inductor, warm-up steps by CUDA graphs where the checkout has
them.  Prints one JSON object.
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
from zo_core import apply_updates_, digest, loss_differences, snap_
from zo_core.loss.module_loss import mean_loss
from zo_core.models import build_model

SEEDS = [11, 12, 13]
RADIUS = {"epsilon": 1e-4, "tau": 0.75}


def computing(precision: str, device: str, *, forwards_only: bool) -> AbstractContextManager[None]:
    """Return the precision's context; an older checkout has none."""
    if precision == "inherited":
        return nullcontext()
    from zo_core.loss.precision import computing_in

    return computing_in(precision, device, forwards_only=forwards_only)


def seconds(act: Callable[[], object], device: str, repeats: int) -> float:
    """Time an action: the median after two unmeasured repeats."""
    times = []
    for repeat in range(repeats + 2):
        started = time.perf_counter()
        act()
        if device == "cuda":
            torch.cuda.synchronize()
        if repeat >= 2:
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def zo_round(module: Any, x: torch.Tensor, y: torch.Tensor, grid: Any) -> None:
    loss = partial(mean_loss, module, x, y)
    found = loss_differences(loss, module, SEEDS, grid=grid, **RADIUS)
    updates = list(zip(SEEDS, map(float, found), strict=True))
    apply_updates_(module, updates, 1e-4, grid=grid, **RADIUS)
    digest(module, grid)


def zo_step(module: Any, x: torch.Tensor, y: torch.Tensor, grid: Any) -> None:
    loss_differences(partial(mean_loss, module, x, y), module, SEEDS[:1], grid=grid, **RADIUS)


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
    found: dict[str, Any] = {"precision": arguments.precision, "checkout": zo_core.__file__}
    with computing(arguments.precision, device, forwards_only=False):
        steps = graphed(module, device)
        with steps.active() if steps else nullcontext():
            found["warm_up_s"] = take(lambda: warm_up(module, x, y))
        if steps:
            found |= {"graphs": steps.captures, "graph_failure": steps.failure}
            steps.release()
    module.eval()
    grid = snap_(module)
    forwards_by = compiled(module, arguments.compiled)
    with (
        computing(arguments.precision, device, forwards_only=True),
        forwards_by.active() if forwards_by else nullcontext(),
    ):
        found["zo_round_s"] = take(lambda: zo_round(module, x, y, grid))
        found["six_forwards_s"] = take(lambda: [mean_loss(module, x, y) for _ in range(6)])
        found["zo_step_batch_1_s"] = take(lambda: zo_step(module, x[:1], y[:1], grid))
        forwards = take(lambda: [mean_loss(module, x[:1], y[:1]) for _ in range(2)])
        found["zo_step_over_two_forwards"] = found["zo_step_batch_1_s"] / forwards
    if forwards_by:  # 900 items, and 1
        found["compilations"] = forwards_by.compilations
    print(json.dumps(found))


if __name__ == "__main__":
    main()
