"""The frontier: what every training variant costs a client, beside what it reaches.

On the digits the accuracies are those of the run's own accuracy cases.  At laptop scale, where a
data folder is given, every variant of :mod:`bench.replication.frontier_variants` is trained on
the data set in it; with the same ``--out`` an interrupted run continues with what is missing.  A
client's memory, time and joules are measured here, for each way that the variant's steps can be
taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import devices
from bench.records.case_name import CaseName
from bench.records.frontier import family_of, moments
from bench.records.record import Metric, single
from bench.records.store import StoreError, read_records
from bench.replication.frontier_runs import Run, accuracy_runs, cell_run, dataset_in
from bench.replication.frontier_variants import FRONTIER_VARIANTS
from bench.step_variants import PLAIN
from bench.suite.suite import Suite
from bench.workloads.limits import CASE_TIMEOUT_S
from bench.workloads.steps import ONE_THREAD

_WORKERS = 2  # variants side by side, one thread each
_MOST_REPEATS = 3  # of a client's round, which is some tens of forwards
_REPEATS_OF_FILES = 2  # of a client's round over hundreds of images
_WAYS_OF_FILES = ("layerwise", "least", "by-1")  # beside the plain one: the least of each kind
_MEMORY = "live tensors at the peak of a client's round, weights and its data included"


def test_frontier(suite: Suite) -> None:
    """Write a record for each variant, split and way of the run's accuracy cases."""
    runs = accuracy_runs(suite.folder)
    if not runs:
        suite.progress.tell("frontier: this folder has no accuracy records to make it from")
        return
    variants = {run.variant: run.config for run in reversed(runs)}
    suite.progress.tell(f"a client's round of {len(variants)} variants, in all their ways")
    repeats = min(_MOST_REPEATS, suite.scale.time_repeats)
    parts = [dict(list(variants.items())[start::_WORKERS]) for start in range(_WORKERS)]
    with devices.SideBySide(_WORKERS) as pool:
        ended = pool.map(lambda part: _measure(part, repeats), parts)
        measured = {
            name: result for part, result in zip(parts, ended, strict=True) for name in part
        }
    for run in runs:
        _record_variant(suite, run, measured[run.variant])


def test_frontier_of_files(suite: Suite) -> None:
    """Train every variant on the data set of files and write a record for each of its ways."""
    options = suite.campaign
    if not suite.scale.frontier_trains or options.data_dir is None:
        suite.progress.tell("frontier: trains on Fashion-MNIST at laptop scale with --data-dir")
        return
    dataset, done = dataset_in(options.data_dir), _recorded(suite)

    def of_variant(variant: str) -> tuple[Run, devices.IsolatedResult] | None:
        run = cell_run(variant, dataset, replace(options, workers=1), suite.folder, tell)
        if run is None or done.get((run.panel, variant)) == run.sources:
            return None
        tell(f"{variant}: a client's round")
        return run, _measure_of_files(suite, run)

    def tell(text: str) -> None:
        suite.progress.tell(f"frontier: {text}")

    with devices.SideBySide(options.workers or _WORKERS) as pool:
        for ended in pool.map(of_variant, FRONTIER_VARIANTS):
            if ended is not None:
                _record_variant(suite, *ended)


def _recorded(suite: Suite) -> dict[tuple[str, str], Mapping[str, str]]:
    """Tell from which sources each variant has all its records: the plain way's, written last."""
    try:
        records = [r for r in read_records(suite.folder) if r.group == "frontier"]
    except StoreError:
        return {}
    done = [r for r in records if r.status == "ok" and r.config["way"] == PLAIN]
    return {(r.name.panel, r.name.variant): r.config["sources"] for r in done}


def _measure(variants: Mapping[str, Mapping[str, Any]], repeats: int) -> devices.IsolatedResult:
    return devices.run_isolated(
        *("bench.workloads.client_costs:measure_variants", variants, repeats),
        timeout_s=CASE_TIMEOUT_S,
        env=ONE_THREAD,
    )


def _measure_of_files(suite: Suite, run: Run) -> devices.IsolatedResult:
    return devices.run_isolated(
        "bench.workloads.client_costs:measure_variants",
        {run.variant: run.config},
        _REPEATS_OF_FILES,
        data_dir=suite.campaign.data_dir,
        verify=suite.campaign.verify,
        ways=_WAYS_OF_FILES,
        timeout_s=CASE_TIMEOUT_S,
        env=ONE_THREAD,
    )


def _record_variant(suite: Suite, run: Run, result: devices.IsolatedResult) -> None:
    if result.status != "ok":
        suite.record(
            case=CaseName.frontier(run.panel, run.variant, PLAIN),
            config={"split": run.split, "variant": run.variant},
            metrics={},
            status=result.status,
            error=result.error,
            headline="",
        )
        return
    found = result.value[run.variant]
    for way, of_way in sorted(found["ways"].items(), key=lambda item: item[0] == PLAIN):
        if "costs" in of_way:
            _record(suite, run, way, found["phase_rounds"], of_way["costs"])


def _record(
    suite: Suite,
    run: Run,
    way: str,
    phase_rounds: Sequence[int],
    costs: Sequence[Mapping[str, Any]],
) -> None:
    joined = moments(
        run.curves,
        clients=run.config["clients"],
        phase_rounds=phase_rounds,
        round_s=[_slowest(costs, phase) for phase in range(len(phase_rounds))],
        round_joules=[_joules(costs, phase) for phase in range(len(phase_rounds))],
    )
    metrics = _metrics(costs, joined, seeds=len(run.curves))
    suite.record(
        case=CaseName.frontier(run.panel, run.variant, way),
        config={
            "split": run.split,
            "variant": run.variant,
            "way": way,
            "dataset": run.config["dataset"],
            "model": run.config["model"],
            "sources": run.sources,
        },
        metrics=metrics,
        details={
            "family": family_of(costs),
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
    costs: Sequence[Mapping[str, Any]], joined: Sequence[Mapping[str, Any]], *, seeds: int
) -> dict[str, Metric]:
    last = joined[-1]
    rounds = (
        "rounds times a client's update and application of the result, one thread, the fastest of"
        " a few: a busy machine can only add to it"
    )
    accuracy = "at the end, one seed" if seeds == 1 else f"at the end, mean over {seeds} seeds"
    found = {
        "low_memory": single(_peak(costs, "low"), "byte", f"{_MEMORY}; 0: takes no part"),
        "high_memory": single(_peak(costs, "high"), "byte", _MEMORY),
        "run_time": single(last["seconds"], "second", rounds),
        "bytes_a_client": single(last["bytes_a_client"], "byte", "encoded payloads, hand-over too"),
        "test_accuracy": single(last["accuracy"], "share", accuracy),
    }
    if last["joules"] is not None:
        found["run_energy"] = single(last["joules"], "joule", "rounds times a client's round")
    return found


def _peak(costs: Sequence[Mapping[str, Any]], group: str) -> float:
    return float(max((c["peak_bytes"] for c in costs if c["group"] == group), default=0))


def _slowest(costs: Sequence[Mapping[str, Any]], phase: int) -> float:
    return float(max(min(c["seconds"]) for c in costs if c["phase"] == phase))


def _joules(costs: Sequence[Mapping[str, Any]], phase: int) -> float | None:
    found = [cost["joules"] for cost in costs if cost["phase"] == phase]
    return None if None in found else max(found)
