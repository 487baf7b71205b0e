"""Each option of each method changes a training, or the command says that it has no effect."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from torch import nn

from bench.cli.no_effect import without_effect
from zo_core.algorithms import train_config
from zo_core.algorithms.registry import ALGORITHMS
from zo_core.config import TrainConfig
from zo_core.data import Dataset, load_dataset
from zo_core.federation.simulation.training import Training
from zo_core.options import Option, declared, option_of

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

BASE: dict[str, Any] = {
    **{"clients": 6, "rounds": 6, "pivot": 2, "warmup_cohort": 2},
    **{"high_share": 0.34, "eval_every": 6},
}
# Options that say what is trained, and one that only lets a refused training run.
NOT_TRIED = {"algorithm", "dataset", "model", "criterion", "init", "norm", "force"}
# Values that matter to so small a training; other options get one from their range.
VALUES: dict[str, Any] = {
    **{"micro_batch": 3, "zo_cohort": 3, "precision": "bf16", "forward": "channels_last"},
    **{"eval_every": 1, "pivot": 1, "warmup_cohort": 1, "high_share": 0.5, "holdout_share": 0.3},
    **{"rounds": 5, "clients": 7, "batch_size": 4, "dgc_clip_norm": 0.01, "zo_share": 0.3},
}
# They change something in larger trainings: rounds by a budget that rounds up to these few.
NOT_SEEN = {("heterofl", "budget"), ("fjord", "budget")}
# The state of a run that an option changes without changing the training itself.
BESIDE = {"config", "high", "remarks", "scalar_noise", "seconds_by_method"}
BESIDE |= {"forward_trial_s", "forward_trial_cost_s", "threads_trial_s"}
Observed = tuple[str, tuple[Any, ...]]


@cache
def data() -> Dataset:
    digits = load_dataset("digits")
    part = {name: getattr(digits, name) for name in ("train", "test")}
    return replace(digits, **{n: replace(p, x=p.x[:120], y=p.y[:120]) for n, p in part.items()})


def observe(config: TrainConfig) -> Observed:
    """Train; return the record and what each layer was given: shape, layout and data type."""
    training = Training(config, data(), threads=None)
    given: list[Any] = []

    def note(_: nn.Module, inputs: Any, output: Any) -> None:
        given.append((inputs[0].shape, inputs[0].stride(), output.dtype))

    for module in training.replica.module.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(note)
    record = json.loads(json.dumps(training.run().to_json()))
    for point in record["curve"]:
        point.pop("elapsed_s")
    left = {name: value for name, value in record.items() if name not in BESIDE}
    return json.dumps(left), tuple(given)


def values_of(name: str, option: Option, default: Any) -> list[Any]:
    if name in VALUES:
        return [VALUES[name]]
    if isinstance(default, str) and not option.choices:
        return []
    if isinstance(default, bool):
        return [not default]
    if option.choices:
        return [choice for choice in option.choices if choice != default]
    near = [2, 0.5] if default is None else [default + 1, default - 1]
    if isinstance(default, float):
        near = [default / 2, default * 2, 0.5]
    return [value for value in near if option.allows(value) and value != default][:1]


def tried(algorithm: str) -> Iterator[tuple[str, Any]]:
    for kind in (TrainConfig, ALGORITHMS[algorithm].options):
        for field in declared(kind):
            if field.name not in NOT_TRIED and (algorithm, field.name) not in NOT_SEEN:
                for value in values_of(field.name, option_of(field), field.default):
                    yield field.name, value


def named(config: TrainConfig, name: str, value: Any) -> bool:
    arguments = argparse.Namespace(**{name: value})
    found = without_effect(arguments, config, data())
    return any(line.startswith(f"--{name.replace('_', '-')} ") for line in found)


def wrong(algorithm: str, base: dict[str, Any]) -> Iterator[str]:
    usual = observe(train_config(algorithm=algorithm, **base))
    for name, value in tried(algorithm):
        if name in base and base[name] != BASE.get(name):
            continue
        try:
            config = train_config(algorithm=algorithm, **{**base, name: value})
            found = observe(config)
        except ValueError:  # the option is refused
            continue
        silent = found == usual
        if silent != named(config, name, value):
            yield f"{name}={value} {'is silent' if silent else 'is named, and has an effect'}"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_option_has_an_effect_or_is_named(algorithm: str) -> None:
    assert list(wrong(algorithm, BASE)) == []


@pytest.mark.parametrize("pivot", [0, BASE["rounds"]])
@pytest.mark.parametrize("algorithm", [n for n in ALGORITHMS if n.startswith(("zow", "warm"))])
def test_so_it_is_in_a_run_without_one_of_the_two_phases(algorithm: str, pivot: int) -> None:
    assert list(wrong(algorithm, {**BASE, "pivot": pivot})) == []
