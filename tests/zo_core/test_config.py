"""Every field of a run's config that is out of range is an error that names it."""

from __future__ import annotations

import json
import re
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from zo_core.algorithms import ALGORITHMS, build_algorithm, taken_by, train_config
from zo_core.algorithms.configs import SHARED, option_groups

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


OWNER = {  # of options that zowarmup does not take
    "zo_share": "zowarmup-hi-lo",
    "candidates": "fedkseed",
    **dict.fromkeys(("adam_lr", "zo_adam_lr", "adam_eps"), "zowarmup-fedadam"),
}


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_field_out_of_range_is_an_error_that_names_it_and_its_value(
    name: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=rf"^{name} .*got {re.escape(str(value))}$"):
        train_config(OWNER.get(name, "zowarmup"), **{name: value})


def test_an_unknown_distribution_is_an_error_before_the_run_that_lists_the_known() -> None:
    with pytest.raises(ValueError, match="distribution must be one of rademacher, gaussian, spher"):
        train_config(distribution="cauchy", grid=False)


def test_weighting_goes_with_the_mean_alone() -> None:
    with pytest.raises(ValueError, match="weighted works with average='mean' only"):
        train_config(weighted=True, average="sum")


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
    config = train_config(**good)
    assert good.items() <= config.to_json().items()


def test_the_papers_choices_are_the_defaults() -> None:
    papers = {"directions": 3, "tau": 0.75, "epsilon": 1e-4, "clients": 50, "alpha": 0.1}
    papers |= {"batch_size": 64, "local_epochs": 3, "literal_tau": True, "weighted": False}
    assert papers.items() <= train_config().to_json().items()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_config_is_plain_flat_json_data_and_comes_back(algorithm: str) -> None:
    config = train_config(algorithm, run_seed=5, micro_batch=8)
    data = json.loads(json.dumps(config.to_json()))
    assert train_config(**data) == config


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        train_config().rounds = 3  # type: ignore[misc]


# --- options of one algorithm --------------------------------------------------------------------


def test_an_option_of_another_algorithm_is_refused_with_those_that_take_it() -> None:
    rule = "candidates must be left out for mezo: it is an option of fedkseed, fedkseed-pro"
    with pytest.raises(ValueError, match=rule):
        train_config("mezo", candidates=8)


def test_a_name_that_nobody_takes_is_refused_with_the_known_ones() -> None:
    for give in (lambda: train_config("mezo", lr=1.0), lambda: taken_by("mezo", {"lr": 1.0})):
        with pytest.raises(ValueError, match=r"lr is not an option; mezo takes .*zo_server_lr"):
            give()


def test_values_for_several_algorithms_are_cut_to_what_one_takes() -> None:
    base = {"clients": 4, "candidates": 8, "server_lr": 0.5}
    assert taken_by("fedkseed", base) == {"clients": 4, "candidates": 8}


def test_an_option_is_declared_once_so_that_it_means_the_same_everywhere() -> None:
    names = [field.name for group in option_groups() for field in group.options]
    assert len({*names, *SHARED}) == len(names) + len(SHARED)


def test_the_options_of_another_algorithm_do_not_build_one() -> None:
    config = replace(train_config("fedavg", rounds=100), algorithm="mezo")
    with pytest.raises(ValueError, match="options must be MeZOOptions for mezo, got FedAvgOpt"):
        build_algorithm(config, (0,))
