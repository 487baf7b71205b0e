"""What the resources buy: ZOWarmUp against High-Res-Only on the digits, same total of rounds, and
every further method once.
"""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

import devices
from bench.cases.digits_trainings import FURTHER, VARIANTS, further_config, training_config
from bench.records.case_name import CaseName
from bench.records.details.training import AccuracyDetails, TrainDetails
from bench.records.training_metrics import training_metrics
from bench.suite.parametrize import with_parameters
from bench.suite.scales import Scale
from bench.suite.suite import Suite
from bench.workloads.child import CASE_TIMEOUT_S, value_of
from bench.workloads.steps import ONE_THREAD

_WORKERS = 2  # cells side by side, one thread each


def _cases(scale: Scale) -> list[tuple[str, str]]:
    return [(split, name) for split in scale.accuracy_splits for name in scale.accuracy_variants]


@with_parameters("split, variant", _cases)
def test_accuracy(suite: Suite, split: str, variant: str) -> None:
    """Train once a seed, each in a fresh process, and evaluate on the fixed test split."""
    seeds = list(range(suite.scale.accuracy_seeds))
    config = training_config(suite.scale, split, VARIANTS[variant]) | {"precision": suite.precision}
    suite.progress.log(f"{variant} {split}: {len(seeds)} seeds, {config['rounds']} rounds")
    with devices.IsolatedPool(_WORKERS) as pool:
        runs = list(pool.map(lambda seed: _train(suite, config | {"run_seed": seed}), seeds))
    _record(suite, variant, split, config, runs)


def test_further_methods(suite: Suite) -> None:
    """Train every other method with one seed, at the first split; no comparison rests on these."""
    split = suite.scale.accuracy_splits[0]
    configs = [
        further_config(suite.scale, name) | {"precision": suite.precision} for name in FURTHER
    ]
    suite.progress.log(
        f"{len(FURTHER)} further methods {split}, {suite.scale.further_rounds} rounds"
    )
    with devices.IsolatedPool(_WORKERS) as pool:
        runs = pool.map(partial(_train, suite), configs)
        for name, config, run in zip(FURTHER, configs, runs, strict=True):
            _record(suite, name, split, config, [run])


def _record(
    suite: Suite,
    variant: str,
    split: str,
    config: dict[str, Any],
    runs: list[devices.IsolatedResult],
) -> None:
    """Store what the runs of seeds 0, 1, ... ended with; a run that failed spoils the case."""
    seeds = list(range(len(runs)))
    failed = [run for run in runs if run.status != "ok"]
    ended = [value_of(run, TrainDetails) for run in runs]
    records = [record for record in ended if record is not None]
    accuracies = [record.last.accuracy for record in records]
    suite.record(
        case=CaseName.accuracy(variant, split),
        config={
            **({**records[0].config, "run_seed": seeds} if records else config),
            "device": suite.device_type,
        },
        metrics={} if failed else training_metrics(records),
        details=None if failed else _details(seeds, records),
        status=failed[0].status if failed else "ok",
        error=failed[0].error if failed else None,
        headline=""
        if failed
        else f"{100 * statistics.fmean(accuracies):5.1f} % test accuracy "
        f"(mean of {len(seeds)}: {', '.join(f'{100 * a:.1f}' for a in accuracies)})",
    )


def _train(suite: Suite, config: dict[str, Any]) -> devices.IsolatedResult:
    return devices.run_isolated(
        "bench.workloads.steps:train",
        *(config, suite.device_type),
        timeout_s=CASE_TIMEOUT_S,
        env=ONE_THREAD,
    )


def _details(seeds: list[int], records: list[TrainDetails]) -> AccuracyDetails:
    return AccuracyDetails(
        seeds=tuple(seeds),
        curves=tuple(record.curve for record in records),
        outcomes=tuple(record.outcome for record in records),
        reasons=tuple(record.reason for record in records),
        digests=tuple(record.digest for record in records),
        seconds_by_method=tuple(record.seconds_by_method for record in records),
        passes_by_method=tuple(record.passes_by_method for record in records),
    )
