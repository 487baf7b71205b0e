"""The frontier: what every training variant of this run costs a client, beside what it reaches.

The accuracies are those of the run's own accuracy cases; a client's memory, time and joules are
measured here, in each way that the variant's steps can be taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import Any

import devices
from bench.frontier import FAMILIES, moments
from bench.record import Metric, Record, single
from bench.store import StoreError, read_records
from bench.suite import Suite

_TIMEOUT_S = 1800.0
_WORKERS = 2  # variants side by side, one thread each
_MOST_REPEATS = 3  # of a client's round, which is some tens of forwards
_MEMORY = "live tensors at the peak of a client's round, weights and its data included"
_PROCESS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def test_frontier(suite: Suite) -> None:
    """Write a record for each variant, split and way."""
    runs = _accuracy_records(suite)
    if not runs:
        suite.progress.tell("frontier: this folder has no accuracy records to make it from")
        return
    variants = {_variant(record): _config(record) for record in reversed(runs)}
    suite.progress.tell(f"a client's round of {len(variants)} variants, in all their ways")
    repeats = min(_MOST_REPEATS, suite.scale.time_repeats)
    parts = [dict(list(variants.items())[start::_WORKERS]) for start in range(_WORKERS)]
    with ThreadPoolExecutor(_WORKERS) as pool:
        ended = pool.map(lambda part: _measure(part, repeats), parts)
        measured = {name: run for part, run in zip(parts, ended, strict=True) for name in part}
    for record in runs:
        variant, split = _variant(record), record.case.split("/")[2]
        result = measured[variant]
        if result.status != "ok":
            suite.record(
                case=f"frontier/{split}/{variant}",
                config={"split": split, "variant": variant},
                metrics={},
                status=result.status,
                error=result.error,
                headline="",
            )
            continue
        found = result.value[variant]
        for way, of_way in found["ways"].items():
            if "costs" in of_way:
                _record(suite, record, way, found["phase_rounds"], of_way["costs"])


def _measure(variants: dict[str, dict[str, Any]], repeats: int) -> devices.IsolatedResult:
    return devices.run_isolated(
        *("bench.client_costs:measure_variants", variants, repeats),
        timeout_s=_TIMEOUT_S,
        env=_PROCESS,
    )


def _accuracy_records(suite: Suite) -> list[Record]:
    try:
        records = read_records(suite.folder)
    except StoreError:
        return []
    return [
        r for r in records if r.group == "accuracy" and r.status == "ok" and r.details.get("curves")
    ]


def _variant(record: Record) -> str:
    return record.case.split("/")[1]


def _config(record: Record) -> dict[str, Any]:
    """Return the run's config with its first seed."""
    from zo_core.config import TrainConfig

    known = {field.name for field in fields(TrainConfig)}
    chosen = {name: value for name, value in record.config.items() if name in known}
    return chosen | {"run_seed": record.details["seeds"][0]}


def _record(
    suite: Suite,
    run: Record,
    way: str,
    phase_rounds: Sequence[int],
    costs: Sequence[Mapping[str, Any]],
) -> None:
    split, variant = run.case.split("/")[2], _variant(run)
    joined = moments(
        run.details["curves"],
        clients=run.config["clients"],
        phase_rounds=phase_rounds,
        round_s=[_slowest(costs, phase) for phase in range(len(phase_rounds))],
        round_joules=[_joules(costs, phase) for phase in range(len(phase_rounds))],
    )
    metrics = _metrics(costs, joined)
    suite.record(
        case=f"frontier/{split}/{variant}/{way}",
        config={
            "split": split,
            "variant": variant,
            "way": way,
            "dataset": run.config["dataset"],
            "model": run.config["model"],
            "sources": {run.case: run.config_hash},
        },
        metrics=metrics,
        details={
            "family": _family(costs),
            "moments": joined,
            "phase_rounds": list(phase_rounds),
            "costs": list(costs),
        },
        headline=(
            f"{(metrics['low_memory'].value or 0) / 1024:8.1f} KiB a low-resource client, "
            f"{100 * joined[-1]['accuracy']:.1f} %"
        ),
    )


def _metrics(
    costs: Sequence[Mapping[str, Any]], joined: Sequence[Mapping[str, Any]]
) -> dict[str, Metric]:
    last = joined[-1]
    rounds = (
        "rounds times a client's update and application of the result, one thread, the fastest of"
        " a few: a busy machine can only add to it"
    )
    found = {
        "low_memory": single(_peak(costs, "low"), "byte", f"{_MEMORY}; 0: takes no part"),
        "high_memory": single(_peak(costs, "high"), "byte", _MEMORY),
        "run_time": single(last["seconds"], "second", rounds),
        "bytes_a_client": single(last["bytes_a_client"], "byte", "encoded payloads, hand-over too"),
        "test_accuracy": single(last["accuracy"], "share", "mean over seeds at the end"),
    }
    if last["joules"] is not None:
        found["run_energy"] = single(last["joules"], "joule", "rounds times a client's round")
    return found


def _family(costs: Sequence[Mapping[str, Any]]) -> str:
    low = [cost["backprop"] for cost in costs if cost["group"] == "low"]
    left_out, forwards, backprop = FAMILIES
    return (backprop if any(low) else forwards) if low else left_out


def _peak(costs: Sequence[Mapping[str, Any]], group: str) -> float:
    return float(max((c["peak_bytes"] for c in costs if c["group"] == group), default=0))


def _slowest(costs: Sequence[Mapping[str, Any]], phase: int) -> float:
    return float(max(min(c["seconds"]) for c in costs if c["phase"] == phase))


def _joules(costs: Sequence[Mapping[str, Any]], phase: int) -> float | None:
    found = [cost["joules"] for cost in costs if cost["phase"] == phase]
    return None if None in found else max(found)
