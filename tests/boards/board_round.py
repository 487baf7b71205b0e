"""Run a ZO round of ResNet18 in a small board's memory, and compare with the predictions.

The client without torch gets 160 MiB; torch gets the board's memory less the reserve of its system,
as `zobench fit --reserve` takes it. Limits are the kernel's. No time is of the board.
"""

from __future__ import annotations

import sys
from typing import Any

import devices
from bench.fit.measuring import predict_cells, try_cell
from bench.fit.target import Target, find_target
from bench.workloads.edge import exported
from bench.workloads.steps import RETURN_BLOCKS

MIB = 1 << 20
EDGE_LIMIT_BYTES, RESERVE_BYTES = 160 * MIB, 150 * MIB
BOARDS = {  # memory, and the steps of torch that it is to run: method and micro-batch
    "pi-zero-2": ("512MiB", (("zo", 8),)),
    "pi-4-1gb": ("1GiB", (("zo", 64), ("fedavg", 8))),
}
DIRECTIONS, MICRO_BATCH = 3, 8
ALLOWED_ERROR = 0.05  # of fit's prediction
PAYLOAD_BYTES = 42  # of an update with three scalars
MODEL = "resnet18"
SKIPPED = 77


def edge_round(folder: str, images: int) -> dict[str, Any]:
    """Run one whole round of the client without torch; return its bytes and its digest."""
    from pathlib import Path

    import numpy as np

    from zo_core.algorithms.steps.zeroth_order import ZerothOrderStep
    from zo_core.edge.arithmetic import measure_arithmetic
    from zo_core.edge.load import load_replica
    from zo_core.edge.manifest import read_manifest
    from zo_core.method import ClientData, RoundContext

    replica, manifest = load_replica(Path(folder)), read_manifest(Path(folder))
    arithmetic = measure_arithmetic(replica, manifest, micro_batch=MICRO_BATCH)
    arithmetic.check()
    rng = np.random.default_rng(7)
    x = rng.standard_normal((images, *manifest.input_shape), dtype=np.float32)
    method = ZerothOrderStep(
        directions=DIRECTIONS, epsilon=1e-3, tau=0.75, lr=1e-4, micro_batch=MICRO_BATCH
    )
    context = RoundContext(run_seed=5, run_id=5, round_index=0, cohort=(0,), samples=(images,))
    y = rng.integers(0, manifest.num_classes, images)
    update = method.client_update(replica, ClientData(slot=0, x=x, y=y), context)
    method.server_result(replica, [update], context)
    return {
        "payload_bytes": len(update.encode()),
        "digest": replica.digest().hex(),
        "torch": "torch" in sys.modules,
        "arithmetic": arithmetic.summary,
        "resident_bytes": devices.read_host_memory().peak_rss_bytes,
    }


def main(board: str, images: int, folder: str | None = None) -> int:
    """Run both clients, or with an exported folder the one without torch; return the exit code."""
    if reason := devices.why_no_limit(EDGE_LIMIT_BYTES):
        print(f"skipped: {reason}")
        return SKIPPED
    if folder is not None:
        return 0 if _edge(folder, images) else 1
    memory, steps = BOARDS[board]
    target = find_target(memory, RESERVE_BYTES)
    runs = [_edge(exported(MODEL), images)]
    runs += [_torch(target, method, batch, images) for method, batch in steps]
    return 0 if all(runs) else 1


def _edge(folder: str, images: int) -> bool:
    free = _run_edge(folder, images, None)
    limited = _run_edge(folder, images, EDGE_LIMIT_BYTES)
    print(
        f"without torch, {images} images under {EDGE_LIMIT_BYTES / MIB:.0f} MiB: {limited.status}, "
        f"{_counted(limited)}, {limited.seconds:.0f} s"
    )
    if limited.status != "ok" or free.status != "ok":
        print(limited.error or free.error)
        return False
    resident = limited.value.pop("resident_bytes"), free.value.pop("resident_bytes")
    same = limited.value == free.value
    print(f"  {_mib(resident[0])} resident, without the limit {_mib(resident[1])}")
    print(f"  {limited.value['payload_bytes']} bytes up, digest {limited.value['digest'][:16]}...")
    print(f"  {limited.value['arithmetic']}")
    print(f"  the same without the limit: {'yes' if same else free.value}")
    is_light = not limited.value["torch"]
    return same and is_light and limited.value["payload_bytes"] == PAYLOAD_BYTES


def _run_edge(folder: str, images: int, limit_bytes: int | None) -> devices.IsolatedResult:
    return devices.run_isolated(
        "board_round:edge_round", folder, images, limit_bytes=limit_bytes, env=RETURN_BLOCKS
    )


def _torch(target: Target, method: str, batch: int, images: int) -> bool:
    (cell,) = predict_cells([target], MODEL, [method], [batch], images)
    trial = try_cell(cell)
    resident = trial.resident_bytes or 0.0
    error = resident / cell.predicted_bytes - 1
    print(
        f"torch, {method}, {images} images by {batch} under {target.limit_bytes / MIB:.0f} MiB: "
        f"{trial.status}, {_mib(resident)} resident, {trial.seconds:.0f} s\n"
        f"  predicted {_mib(cell.predicted_bytes)}: {error:+.1%}"
    )
    return trial.status == "ok" and abs(error) <= ALLOWED_ERROR


def _counted(run: devices.IsolatedResult) -> str:
    peak = run.limit_peak_bytes.value
    return str(run.limit_method) if peak is None else f"{_mib(peak)} counted by {run.limit_method}"


def _mib(size_bytes: float | None) -> str:
    return "an unknown amount" if size_bytes is None else f"{size_bytes / MIB:.1f} MiB"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
