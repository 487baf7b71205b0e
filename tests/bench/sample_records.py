"""A small, plausible set of records of a device that does not exist, for the report's tests."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.records.record import Metric, Provenance, Record
from bench.records.store import open_store, write_record
from zo_core import cost_model

MIB = 1 << 20
PARAMETERS = {"resnet18": 11_173_962, "vit": 18_979_338, "cnn": 5_994}
BATCHES = (1, 8, 32, 64)
# MiB above the baseline: at batch 0, and for each image.
_MEMORY = {
    "inference": {"resnet18": (4.0, 0.86), "vit": (2.0, 0.42), "cnn": (0.1, 0.004)},
    "zo": {"resnet18": (4.4, 0.87), "vit": (2.4, 0.43), "cnn": (0.15, 0.004)},
    "fedavg": {"resnet18": (48.0, 6.4), "vit": (75.0, 5.1), "cnn": (0.2, 0.02)},
}
_SECONDS_AN_IMAGE = {"inference": 0.021, "zo": 0.0225, "fedavg": 0.034}
DEVICE: dict[str, Any] = {
    "name": "sample device",
    "kind": "host",
    "soc": "Sample Processor 1",
    "arch": "sample64",
    "logical_cores": 4,
    "memory_bytes": 8 << 30,
    "accelerator": None,
    "os": "Sample OS 1",
    "kernel": "0.0-sample",
    "python": "3.11.0",
    "versions": {"numpy": "2.0.0", "torch": "2.6.0"},
    "governor": None,
    "power_mode": None,
    "emulator": None,
    "swap_bytes": 0,
    "threads": 4,
    "notes": {"accelerator": "a sample has none", "governor": "a sample has none"}
    | dict.fromkeys(("power_mode", "emulator"), "a sample has none"),
}


def record(
    case: str,
    config: dict[str, Any],
    metrics: dict[str, Metric] | None = None,
    *,
    dirty: bool = False,
    **others: Any,
) -> Record:
    """Make one record of the sample device."""
    origin = Provenance(
        suite_version="0.0.0",
        commit="0123456789abcdef" * 2 + "01234567",
        dirty=dirty,
        scale="default",
        created="2025-01-01T00:00:00+00:00",
        device=DEVICE,
    )
    return Record(
        case=case,
        group=case.split("/", maxsplit=1)[0],
        case_version=1,
        status=others.pop("status", "ok"),
        config=config,
        metrics=metrics or {},
        provenance=origin,
        **others,
    )


def failed(case: str, config: dict[str, Any], status: str, error: str) -> Record:
    """Make the record of a case that has no figures."""
    return record(case, config, status=status, error=error)


def memory_records(*, factor: float = 1.0) -> list[Record]:
    """Make the memory cases; factor multiplies what ZO needs."""
    return [
        _memory(model, method, batch, factor if method == "zo" else 1.0)
        for model in PARAMETERS
        for method in _MEMORY
        for batch in BATCHES
    ]


def _memory(model: str, method: str, batch: int, factor: float) -> Record:
    fixed, slope = _MEMORY[method][model]
    above = factor * (fixed + slope * batch) * MIB
    baseline = 4 * PARAMETERS[model] + 210.0 * MIB
    samples = [above * wobble for wobble in (0.98, 1.0, 1.03)]
    return record(
        f"memory/{model}/{method}/b{batch}",
        {"model": model, "method": method, "batch": batch, "processes": 3},
        {
            "peak_above_baseline": Metric.median(samples, "byte", "VmHWM after reset, minus VmRSS"),
            "peak": Metric.median([s + baseline for s in samples], "byte", "VmHWM after reset"),
            "baseline": Metric.median([baseline] * 3, "byte", "VmRSS after a trim"),
        },
        details={
            "measurements": [],
            "tensor_by_category": _categories(model, method, int(above)),
        },
    )


def low_memory_records() -> list[Record]:
    """Make ResNet18's most memory-efficient steps at batch 64: memory, and time."""
    peaks, seconds = (
        {"zo-by-1": 254, "backprop-least": 310},
        {"zo-by-1": 2.4, "backprop-least": 5.2},
    )
    memory = [
        record(
            f"memory/resnet18/{method}/b64",
            {"model": "resnet18", "method": method, "batch": 64, "processes": 1},
            {
                "peak_above_baseline": Metric.single(
                    (peak - 252.6) * MIB, "byte", "VmHWM after reset"
                ),
                "peak": Metric.single(peak * MIB, "byte", "VmHWM after reset"),
            },
            details={"measurements": [], "tensor_by_category": {}},
        )
        for method, peak in peaks.items()
    ]
    return memory + [
        record(
            f"time/resnet18/{method}/b64",
            {"model": "resnet18", "method": method, "batch": 64},
            {
                "direction" if method == "zo-by-1" else "step": Metric.single(
                    s, "second", "sample clock"
                )
            },
        )
        for method, s in seconds.items()
    ]


def _categories(model: str, method: str, above: int) -> dict[str, int]:
    kept = {"activation": above // 2, "activation gradient": above // 8, "gradient": above // 4}
    made = kept if method == "fedavg" else {"activation": above // 2, "other": above // 16}
    return {"parameter": 4 * PARAMETERS[model], **made}


def bytes_records(*, zo_payload: tuple[int, int] = (44, 162)) -> list[Record]:
    """Make the bytes cases, S = 3 and a cohort of 10."""
    return [
        record(
            f"bytes/{model}/{method}",
            {"model": model, "method": method, "directions": 3, "cohort": 10},
            {
                name: Metric.single(size, "byte", "length of the encoded payload")
                for name, size in zip(
                    ("up_scalars", "up_payload", "down_scalars", "down_payload"), sizes, strict=True
                )
            },
        )
        for model, parameters in PARAMETERS.items()
        for method, sizes in {
            "zo": (12, zo_payload[0], 120, zo_payload[1]),
            "fedavg": (4 * parameters, 4 * parameters + 28) * 2,
        }.items()
    ]


def time_records(*, factor: float = 1.0, watts: float | None = None) -> list[Record]:
    """Make the time cases; factor multiplies what ZO takes, and all draw as many watts, if any."""
    return [
        _time(model, method, batch, factor if method == "zo" else 1.0, watts)
        for model in ("resnet18", "cnn")
        for method in _SECONDS_AN_IMAGE
        for batch in (1, 64)
    ]


def _time(model: str, method: str, batch: int, factor: float, watts: float | None) -> Record:
    seconds = factor * _SECONDS_AN_IMAGE[method] * batch
    samples = [seconds * wobble for wobble in (0.97, 1.0, 1.01, 1.02, 1.1)]
    timed = "direction" if method == "zo" else "step"
    metrics = {timed: Metric.median(samples, "second", "sample clock")}
    if watts is not None:
        metrics["energy"] = Metric.single(watts * seconds, "joule", "sample counter")
    config = {"model": model, "method": method, "batch": batch}
    return record(f"time/{model}/{method}/b{batch}", config, metrics)


def formula_records() -> list[Record]:
    """Make Table 1 and the counts."""
    config = {"model": "resnet18", "batch": 64, "directions": 3, "cohort": 10}
    details = {
        "rows": [dict(zip(_TABLE_1_KEYS, row, strict=True)) | {"unit": "MB"} for row in _TABLE_1],
        "notes": ["The printed communication columns stand in each other's place."],
        "predictions": list(_predictions()),
        "residual": {method: {"reason": "a sample has none"} for method in ("fedavg", "zo")},
    }
    count = {"quantity": "ResNet18 parameters", "expected": 11_173_962, "found": 11_173_962}
    counts = {"rows": [count | {"source": "sample listing"}]}
    return [
        record("formulas/table1", config, details=details),
        record("formulas/counts", {"models": ["resnet18"]}, details=counts),
    ]


_TABLE_1_KEYS = (
    *("quantity", "method", "printed", "recomputed", "measured"),
    *("formula", "measured_how", "note"),
)
_TABLE_1 = (
    ("up-link", "fedavg", "(S K) · 4e-6", 44.695848, 44.695876, "4P", "sample meter", "transposed"),
    ("up-link", "zo", "(S) · 4e-6", 1.2e-5, 4.4e-5, "4S", "sample meter", ""),
    ("memory", "fedavg", "533.2", 404.0, 524.7, "(2P + 64 · Σ) · 4, eq. 4", "sample meter", ""),
    ("memory", "zo", "89.4", 106.2, None, "eq. 5", "not measured in this run", ""),
)


def _predictions() -> Iterable[dict[str, Any]]:
    once, listed = cost_model.resnet18_activations(), cost_model.resnet18_listed_activations()
    p = PARAMETERS["resnet18"]
    for batch in (1, 64, 900):
        yield {"batch": batch, "method": "fedavg", "bytes": cost_model.mem_full(p, once, batch)}
        yield {"batch": batch, "method": "fedavg-paper-count"} | {
            "bytes": cost_model.mem_full(p, listed, batch)
        }
        yield {"batch": batch, "method": "zo", "bytes": cost_model.mem_zero(p, once, batch)}
        yield {"batch": batch, "method": "zo-1P"} | {
            "bytes": cost_model.mem_zero(p, once, batch, copies=1)
        }


def accuracy_records(
    *, zowarmup: float = 0.88, seeds: int = 5, split: str = "10-90", outcome: str = "finished"
) -> list[Record]:
    """Make one split of both algorithms; zowarmup is where ZOWarmUp ends, the other ends at 0.8."""
    return [
        _accuracy("zowarmup", split, zowarmup, seeds, outcome),
        _accuracy("high-res-only", split, 0.80, seeds, "finished"),
    ]


def _accuracy(algorithm: str, split: str, end: float, seeds: int, outcome: str) -> Record:
    stride = 2 if algorithm == "zowarmup" else 3  # so that the pairs' differences vary
    curves = [curve(algorithm, end + 0.01 * (stride * seed % 5 - 2)) for seed in range(seeds)]
    if outcome == "diverged":
        curves[0] = curves[0][:7]
    outcomes = [outcome, *["finished"] * (seeds - 1)]
    last = [curve[-1] for curve in curves]
    units = {name: "share" if name.endswith("accuracy") else "byte" for name in last[0]}
    names = [n for n in last[0] if n.endswith(("accuracy", "bytes"))]
    return record(
        f"accuracy/{algorithm}/{split}",
        {"algorithm": algorithm, "dataset": "digits", "model": "cnn", "clients": 50}
        | {"rounds": 200, "pivot": 60},
        {n: Metric.mean([point[n] for point in last], units[n], "sample run") for n in names},
        details=accuracy_details(range(seeds), curves, outcomes),
    )


def accuracy_details(
    seeds: Iterable[int],
    curves: list[list[dict[str, Any]]] | None = None,
    outcomes: list[str] | None = None,
) -> dict[str, Any]:
    """Make an accuracy record's details; without curves, one evaluation of each training."""
    n = len(list(seeds))
    return {
        "seeds": list(seeds),
        "curves": curves or [curve("fedavg", 0.9)[-1:]] * n,
        "outcomes": outcomes or ["finished"] * n,
        "reasons": [None] * n,
        "digests": ["00" * 32] * n,
    }


def curve(algorithm: str, end: float) -> list[dict[str, Any]]:
    points = []
    for rounds in range(20, 201, 20):
        dense = min(rounds, 60) if algorithm == "zowarmup" else rounds
        share = end * (1 - math.exp(-rounds / 45)) / (1 - math.exp(-200 / 45))
        handed_over = rounds > dense
        points.append(
            {
                "rounds_done": rounds,
                "test_accuracy": share,
                "high_accuracy": min(1.0, share + 0.05),
                "low_accuracy": share - 0.03,
                "up_payload_bytes": dense * 5 * 24_000 + (rounds - dense) * 50 * 44,
                "down_payload_bytes": dense * 5 * 24_000
                + (rounds - dense) * 50 * 650
                + handed_over * 50 * 24_000,
                "elapsed_s": 0.1 * rounds,
            }
        )
    return points


def engine_records() -> list[Record]:
    """Make one engine case: a limit that is held, a floor that is not, a figure without a bar."""
    metrics = {
        "perturb / add": Metric.median([1.2, 1.3, 1.25], "ratio", "sample timer"),
        "others / perturb": Metric.median([8.0, 9.0, 8.5], "ratio", "sample timer"),
        "replay_rate": Metric.median([20.1, 21.0, 20.7], "GB/s", "sample timer"),
    }
    details = {"limits": {"perturb / add": 2.0}, "floors": {"others / perturb": 25.0}}
    return [record("engine/perturb", {"parameters": 11_173_962}, metrics, details=details)]


def sample_records() -> list[Record]:
    """Make all groups."""
    return [
        *formula_records(),
        *memory_records(),
        *bytes_records(),
        *time_records(),
        *accuracy_records(),
        *accuracy_records(split="50-50", zowarmup=0.805),
        *engine_records(),
    ]


def write(folder: Path, records: Iterable[Record]) -> Path:
    """Store records as a run would."""
    open_store(folder)
    for each in records:
        write_record(folder, each)
    return folder
