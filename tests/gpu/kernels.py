"""On a CUDA device: the kernels' bits against the reference, and their time in in-place adds.

    python tests/gpu/kernels.py [--elements 1000000000]
    python tests/gpu/kernels.py --variants      # the times of other tiles and numbers of warps
    TRITON_INTERPRET=1 python tests/gpu/kernels.py --device cpu --tiny    # to try this script

Prints a line of JSON for each part as soon as it is known; exits with 1 where a bit differs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from zo_core import kernels, parameters
from zo_core.fixed_point import FixedPointUpdate
from zo_core.kernels import triton_ops
from zo_core.models import build_model

SIZES = [1, 33, 129, 4_096, 70_001]
REPLAYED = [30, 150]  # directions
REPEATS = 15
VARIANTS = [(32, 4), (16, 4), (16, 2), (32, 2), (32, 8), (64, 4), (64, 8)]  # SPAN, WARPS


def updates(n: int, f: int) -> FixedPointUpdate:
    """Make a list of n updates whose sums fit int32."""
    rng = np.random.default_rng(n)
    a = rng.integers(-(2**30 // n), 2**30 // n, n).astype(np.int32)
    return FixedPointUpdate(rng.integers(0, 2**64, n, dtype=np.uint64), a, f)


def grid_weights() -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(1)
    return [np.ldexp(rng.integers(-(2**23), 2**23, n).astype(np.float32), -26) for n in SIZES]


def laws() -> dict[str, Callable[[Any], Any]]:
    """Name every mode of the kernels."""
    exponents = [-26, -25, -26, -24, -26]
    found: dict[str, Callable[[Any], Any]] = {
        f"perturb {len(terms)}": lambda p, terms=terms: kernels.perturb(p, terms)
        for terms in ([(5, 1e-3)], [(2**64 - 1, 0.1), (7, -0.3)], [(1, 0.1), (2, 0.2), (3, 0.3)])
    }
    for h in (-33, -2, 0, 1, 14, 31, 32):
        found[f"replay h={h}"] = lambda p, h=h: kernels.replay(p, updates(2, -26 - h), [-26] * 5)
    found["replay, mixed grid"] = lambda p: kernels.replay(p, updates(5, -44), exponents)
    found["replay, dry"] = lambda p: kernels.replay(p, updates(2, -40), [-26] * 5, write=False)
    found["replay, plain"] = lambda p: kernels.replay(p, updates(5, -33), None)
    found["replay, many"] = lambda p: kernels.replay(p, updates(REPLAYED[1], -44), exponents)
    return found


def differing(where: str) -> list[str]:
    """Return the modes whose weights or statistics are not the reference's."""
    wrong = []
    for name, act in laws().items():
        host, device = grid_weights(), [torch.from_numpy(w).to(where) for w in grid_weights()]
        with kernels.force_kernel("numpy"):
            expected = act(parameters(host))
        with kernels.force_kernel("triton"):
            found = act(parameters(device))
        same = all(
            w.tobytes() == t.cpu().numpy().tobytes() for w, t in zip(host, device, strict=True)
        )
        if not same or expected != found:
            wrong.append(name)
    return wrong


def milliseconds(act: Callable[[], object], where: str) -> tuple[float, float]:
    """Time an action on the device and on the host: medians after three unmeasured repeats.

    Some work is queued before it, so that the device does not wait for the host's launches.
    """
    if where == "cpu":  # to try this script
        started = time.perf_counter()
        act()
        return (1e3 * (time.perf_counter() - started),) * 2
    before = torch.zeros(250_000_000, device=where)
    on_device, on_host = [], []
    for repeat in range(REPEATS + 3):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        for _ in range(4):
            before.add_(1.0)
        start.record()
        started = time.perf_counter()
        act()
        taken_s = time.perf_counter() - started
        end.record()
        torch.cuda.synchronize()
        if repeat >= 3:
            on_device.append(start.elapsed_time(end))
            on_host.append(1e3 * taken_s)
    return statistics.median(on_device), statistics.median(on_host)


def in_adds(tensors: list[torch.Tensor]) -> dict[str, float]:
    """Time each pass over tensors in in-place scalar adds over as many elements in one tensor."""
    numbered, where = parameters(tensors), tensors[0].device.type
    whole = torch.zeros(numbered.num_elements, device=where)
    add_ms, _ = milliseconds(partial(whole.add_, 1.0), where)
    del whole
    exponents = [-26] * len(tensors)
    few, many = (updates(n, -80) for n in REPLAYED)
    acts = {
        "perturb": lambda: kernels.perturb(numbered, [(1, 1e-3)]),
        "re-perturb": lambda: kernels.perturb(numbered, [(1, 1e-3), (2, -1e-3)]),
        "replay 30": lambda: kernels.replay(numbered, few, exponents),
        "replay 150": lambda: kernels.replay(numbered, many, exponents),
    }
    found = {"add_ms": add_ms}
    with kernels.force_kernel("triton"):
        for name, act in acts.items():
            device_ms, host_ms = milliseconds(act, where)
            found |= {name: device_ms / add_ms, f"{name}, host ms": host_ms}
    return found


def main() -> int:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elements", type=int, default=1_000_000_000)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--variants", action="store_true", help="compare sizes of programs")
    parser.add_argument("--tiny", action="store_true", help="the smallest of everything")
    arguments = parser.parse_args()
    where, elements = arguments.device, 300 if arguments.tiny else arguments.elements
    if arguments.tiny:
        SIZES[3:], REPLAYED[:], VARIANTS[2:] = [260, 130], [2, 3], []
    report(
        device=torch.cuda.get_device_name() if where == "cuda" else where,
        torch=torch.__version__,
        elements=elements,
    )
    if arguments.variants:
        return variants(where, elements // 4)
    wrong = differing(where)
    report(modes=len(laws()), differing=wrong)
    name = "cnn" if arguments.tiny else "resnet18"
    module = build_model(name, num_classes=10, in_channels=3, image_size=32, run_seed=0)
    report(resnet18=in_adds([p.detach().to(where) for p in module.parameters()]))
    report(one_tensor_as_large=in_adds([torch.zeros(_size(module), device=where)]))
    report(whole=in_adds([torch.zeros(elements, device=where)]))
    return 1 if wrong else 0


def variants(where: str, elements: int) -> int:
    """Time the passes with other sizes of programs, and check their bits."""
    all_wrong: list[str] = []
    for span, warps in VARIANTS:
        triton_ops.SPAN, triton_ops.WARPS = span, warps
        wrong = differing(where)
        found = in_adds([torch.zeros(elements, device=where)])
        report(span=span, warps=warps, differing=wrong, **found)
        all_wrong += wrong
    return 1 if all_wrong else 0


def report(**found: object) -> None:
    print(json.dumps(found), flush=True)


def _size(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


if __name__ == "__main__":
    sys.exit(main())
