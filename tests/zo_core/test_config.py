"""Every field of a run's config that is out of range is an error that names it."""

from __future__ import annotations

import json
import re
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from zo_core.config import TrainConfig

NAN, INF = float("nan"), float("inf")
COUNTS = (
    *("clients", "rounds", "warmup_cohort", "zo_cohort", "batch_size"),
    *("local_epochs", "directions", "eval_every", "micro_batch"),
    *("local_steps", "candidates"),
)
POSITIVE = (
    *("client_lr", "server_lr", "epsilon", "tau", "zo_client_lr", "zo_server_lr", "alpha"),
    *("adam_lr", "zo_adam_lr", "adam_eps"),
)
BAD: list[tuple[str, Any]] = [
    *((name, value) for name in COUNTS for value in (0, -1)),
    *((name, value) for name in POSITIVE for value in (0.0, -0.5, NAN, INF, 1e200)),
    *(("pivot", value) for value in (-1, 401)),
    *(("high_share", value) for value in (0.0, 1.0, -0.1, 1.1, NAN)),
    *(("zo_share", value) for value in (0.0, 1.0, -0.1, NAN)),
    *(("holdout_share", value) for value in (-0.1, 1.0, NAN)),
    *(("run_seed", value) for value in (-1, 1 << 64)),
    *((name, 51) for name in ("warmup_cohort", "zo_cohort")),
    ("directions", 1 << 16),
    ("local_steps", 21846),  # of 3 directions: 2^16 + 2 scalars
    ("candidates", (1 << 16) + 1),
    ("average", "median"),
    ("distribution", "gaussian"),  # not on a grid
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_field_out_of_range_is_an_error_that_names_it_and_its_value(
    name: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=rf"^{name} .*got {re.escape(str(value))}$"):
        TrainConfig(**{name: value})


def test_an_unknown_distribution_is_an_error_before_the_run_that_lists_the_known() -> None:
    with pytest.raises(ValueError, match="distribution must be one of rademacher, gaussian, spher"):
        TrainConfig(distribution="cauchy", grid=False)


def test_weighting_goes_with_the_mean_alone() -> None:
    with pytest.raises(ValueError, match="weighted goes with average='mean' alone"):
        TrainConfig(weighted=True, average="sum")


@pytest.mark.parametrize(
    "good",
    [
        {},
        {"run_seed": 2**64 - 1},
        {"pivot": 0},
        {"pivot": 400},
        {"distribution": "gaussian", "grid": False},
        {"weighted": True},
        {"local_steps": 21845},
        {"average": "sum"},
        {"micro_batch": 1},
        {"holdout_share": 0.0},
    ],
)
def test_the_ends_of_each_range_are_allowed(good: dict[str, Any]) -> None:
    config = TrainConfig(**good)
    assert all(getattr(config, name) == value for name, value in good.items())


def test_the_papers_choices_are_the_defaults() -> None:
    config = TrainConfig()
    assert (config.directions, config.tau, config.epsilon) == (3, 0.75, 1e-4)
    assert (config.clients, config.alpha, config.batch_size) == (50, 0.1, 64)
    assert (config.local_epochs, config.literal_tau, config.weighted) == (3, True, False)


def test_a_config_is_plain_json_data_and_comes_back() -> None:
    config = TrainConfig(run_seed=5, micro_batch=8)
    data = json.loads(json.dumps(config.to_json()))
    assert set(data) == {field.name for field in fields(TrainConfig)}
    assert TrainConfig(**data) == config


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        TrainConfig().rounds = 3  # type: ignore[misc]
