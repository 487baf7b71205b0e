"""The frontier: what every training variant costs a client; the report joins what it reaches.

A client's memory, time and joules are measured here, for each form that the variant's steps can
take.  On the digits the accuracies are those of the accuracy cases.  At laptop scale, where a data
folder is given, every variant of :mod:`bench.replication.frontier_variants` is trained on the data
set in it; with the same ``--out`` an interrupted run continues with what is missing.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import devices
from bench.cases.digits_trainings import trainings
from bench.records.case_name import CaseName, split_part
from bench.records.details.training import ClientCost, CurvePoint, FrontierDetails
from bench.records.frontier import family_of, most_joules, slowest
from bench.records.record import Metric
from bench.records.store import StoreError, read_records
from bench.replication.frontier_runs import Run, cell_run, dataset_in
from bench.replication.frontier_variants import FRONTIER_VARIANTS, label_of
from bench.step_variants import PLAIN
from bench.suite.suite import Suite
from bench.workloads.child import CASE_TIMEOUT_S, value_of
from bench.workloads.client_costs import Costs, VariantCosts
from bench.workloads.steps import ONE_THREAD
from zo_core.algorithms import train_config

_WORKERS = 2  # variants side by side, one thread each
_MOST_REPEATS = 3  # of a client's round, which is some tens of forwards
_REPEATS_OF_FILES = 2  # of a client's round over hundreds of images
_STEPS_OF_FILES = ("layerwise", "least", "by-1")  # beside the plain: the least of each kind
_MEMORY = "live tensors at the peak of a client's round, weights and its data included"


def test_frontier(suite: Suite) -> None:
    """Write a record for each training of the digits and each form of its steps."""
    runs = [
        Run(
            panel=split_part(split),
            split=split_part(split),
            variant=variant,
            config=config | {"precision": suite.precision},
        )
        for split, variant, config in trainings(suite.scale)
    ]
    variants = {run.variant: run.config for run in reversed(runs)}
    suite.progress.log(f"a client's round of {len(variants)} variants, in all their forms")
    repeats = min(_MOST_REPEATS, suite.scale.time_repeats)
    workers = _workers(suite)
    parts = [dict(list(variants.items())[start::workers]) for start in range(workers)]
    with devices.IsolatedPool(workers) as pool:
        ended = pool.map(lambda part: _measure(suite, part, repeats), parts)
        measured = {
            name: result for part, result in zip(parts, ended, strict=True) for name in part
        }
    for run in runs:
        _record_variant(suite, run, measured[run.variant])


def test_frontier_of_files(suite: Suite) -> None:
    """Train every variant on the data set of files; record each variant of its steps."""
    options = suite.campaign
    if not suite.scale.frontier_trains or options.data_dir is None:
        suite.leave_out("frontier: trains on Fashion-MNIST at laptop scale with --data-dir")
        return
    dataset, done = dataset_in(options.data_dir), _recorded(suite)

    def of_variant(variant: str) -> tuple[Run, devices.IsolatedResult] | None:
        run = cell_run(variant, dataset, replace(options, workers=1), suite.folder, log)
        if run is None or done.get((run.panel, variant)) == run.sources:
            return None
        log(f"{variant}: a client's round")
        return run, _measure_of_files(suite, run)

    def log(text: str) -> None:
        suite.progress.log(f"frontier: {text}")

    with devices.IsolatedPool(options.workers or _workers(suite)) as pool:
        for ended in pool.map(of_variant, FRONTIER_VARIANTS):
            if ended is None:
                suite.leave_out("frontier: its records are there already")
            else:
                _record_variant(suite, *ended)


def _recorded(suite: Suite) -> dict[tuple[str, str], Mapping[str, str]]:
    """Return the sources of each variant that has all its records: the plain steps' is the last."""
    try:
        records = [r for r in read_records(suite.folder) if r.group == "frontier"]
    except StoreError:
        return {}
    done = [r for r in records if r.status == "ok" and r.config["step_variant"] == PLAIN]
    return {(r.name.panel, r.name.variant): r.config["sources"] for r in done}


def _workers(suite: Suite) -> int:
    """Time on a GPU that others do not use: processes that share it take turns."""
    return _WORKERS if suite.device_type == "cpu" else 1


def _measure(
    suite: Suite, variants: Mapping[str, Mapping[str, Any]], repeats: int
) -> devices.IsolatedResult:
    return devices.run_isolated(
        *("bench.workloads.client_costs:measure_variants", variants, repeats),
        device=suite.device_type,
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
        step_variants=_STEPS_OF_FILES,
        device=suite.device_type,
        timeout_s=CASE_TIMEOUT_S,
        env=ONE_THREAD,
    )


def _record_variant(suite: Suite, run: Run, result: devices.IsolatedResult) -> None:
    measured = value_of(result, dict[str, VariantCosts])
    if measured is None:
        suite.record(
            case=CaseName.frontier(run.panel, run.variant, PLAIN),
            config={"split": run.split, "variant": run.variant},
            metrics={},
            status=result.status,
            error=result.error,
            headline="",
        )
        return
    found = measured[run.variant]
    ordered = sorted(found.by_step_variant.items(), key=lambda item: item[0] == PLAIN)
    for name, costs in ordered:
        if isinstance(costs, Costs):
            _record(suite, run, name, found.phase_rounds, costs.costs)


def _record(
    suite: Suite,
    run: Run,
    step_variant: str,
    phase_rounds: tuple[int, ...],
    costs: tuple[ClientCost, ...],
) -> None:
    chosen = train_config(**run.config)
    metrics = _cost_metrics(suite.device_type, phase_rounds, costs)
    metrics |= _trained_metrics(run.curves, chosen.clients)
    suite.record(
        case=CaseName.frontier(run.panel, run.variant, step_variant),
        config={
            "split": run.split,
            "variant": run.variant,
            "label": label_of(run.variant),
            "step_variant": step_variant,
            "dataset": chosen.dataset,
            "model": chosen.model,
            "clients": chosen.clients,
            "sources": run.sources,
            "device": suite.device_type,
            "precision": chosen.precision,
        },
        metrics=metrics,
        details=FrontierDetails(
            family=family_of(costs), phase_rounds=phase_rounds, costs=costs, curves=run.curves
        ),
        case_version=2,
        headline=f"{(metrics['low_memory'].value or 0) / 1024:8.1f} KiB a low-resource client",
    )


def _cost_metrics(
    device: str, phase_rounds: Sequence[int], costs: Sequence[ClientCost]
) -> dict[str, Metric]:
    where = "one thread" if device == "cpu" else f"on {device}, synchronized"
    how = (
        f"rounds times a client's update and application of the result, {where}, the fastest of"
        " a few: a busy machine can only add to it"
    )
    phases = list(enumerate(phase_rounds))
    seconds = sum(rounds * slowest(costs, phase) for phase, rounds in phases)
    joules = [most_joules(costs, phase) for phase, _ in phases]
    found = {
        "low_memory": Metric.single(_peak(costs, "low"), "byte", f"{_MEMORY}; 0: takes no part"),
        "high_memory": Metric.single(_peak(costs, "high"), "byte", _MEMORY),
        "run_time": Metric.single(seconds, "second", how),
    }
    known = [each for each in joules if each is not None]
    if len(known) == len(joules):
        whole = sum(rounds * each for rounds, each in zip(phase_rounds, known, strict=True))
        found["run_energy"] = Metric.single(whole, "joule", "rounds times a client's round")
    return found


def _trained_metrics(curves: Sequence[Sequence[CurvePoint]], clients: int) -> dict[str, Metric]:
    """Report the accuracy and the bytes of a variant that this case trained."""
    if not curves:
        return {}
    ends = [curve[-1] for curve in curves]
    accuracy = statistics.fmean(end.accuracy for end in ends)
    sent = statistics.fmean(end.up_payload_bytes + end.down_payload_bytes for end in ends)
    seeds = "one seed" if len(curves) == 1 else f"mean over {len(curves)} seeds"
    return {
        "bytes_a_client": Metric.single(sent / clients, "byte", "encoded payloads, hand-over too"),
        "test_accuracy": Metric.single(accuracy, "share", f"at the end, {seeds}"),
    }


def _peak(costs: Sequence[ClientCost], group: str) -> float:
    return float(max((c.peak_bytes for c in costs if c.group == group), default=0))
