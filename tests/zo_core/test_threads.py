"""One policy for threads: a short trial chooses, the run keeps the choice, an option pins it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from zo_core.algorithms import train_config
from zo_core.data import synthetic_blobs
from zo_core.federation.simulation.run_checkpoint import CheckpointError, resume_, save
from zo_core.federation.simulation.training import Training
from zo_core.threads import candidates, choose_threads, fewest_of, try_threads, wait_passively

SMALL = {"dataset": "synthetic", "clients": 4, "rounds": 4, "pivot": 2, "high_share": 0.5}
SMALL |= {"warmup_cohort": 2}


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def training(threads: object) -> Training:
    config = train_config(**SMALL)
    blobs = synthetic_blobs(train_items=80, test_items=20)
    return Training(config, blobs, threads=threads)  # type: ignore[arg-type]


def test_candidates_end_with_the_cores() -> None:
    assert [candidates(cores) for cores in (1, 2, 3, 8)] == [
        (1,),
        (1, 2),
        (1, 2, 3),
        (1, 2, 4, 8),
    ]
    assert candidates()[0] == 1


def test_more_threads_must_pay() -> None:
    assert fewest_of({"1": 1.0, "2": 0.95}) == 1
    assert fewest_of({"1": 1.0, "2": 0.5, "4": 0.49}) == 2
    assert fewest_of({"1": 1.0, "2": 9.0}) == 1


def test_a_trial_changes_nothing_of_the_model_or_of_torch() -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout())
    before = {name: value.clone() for name, value in module.state_dict().items()}
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    seconds = try_threads(module, torch.ones(5, 4), [1, 2])
    assert seconds.keys() == {"1", "2"}
    assert all(each > 0 for each in seconds.values())
    assert module.training
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


@pytest.mark.parametrize("threads", [1, 2])
def test_a_number_pins_them_without_a_trial(threads: int) -> None:
    assert choose_threads(threads, nn.Linear(2, 2), torch.ones(3, 2)) == (threads, {})
    assert torch.get_num_threads() == threads


def test_none_leaves_torch_alone() -> None:
    before = torch.get_num_threads()
    assert choose_threads(None, nn.Linear(2, 2), torch.ones(3, 2)) == (None, {})
    assert torch.get_num_threads() == before


def test_the_choice_stands_in_the_record_before_the_first_round() -> None:
    record = training("auto").record
    assert record.rounds_done == 0
    assert record.threads == fewest_of(record.threads_trial_s) == torch.get_num_threads()
    assert json.loads(json.dumps(record.to_json()))["threads"] == record.threads


def test_a_resumed_run_takes_the_threads_of_its_checkpoint(tmp_path: Path) -> None:
    first = training(2)
    save(first, tmp_path)
    torch.set_num_threads(1)
    resumed = training("auto")
    assert resume_(resumed, tmp_path)
    assert resumed.record.threads == torch.get_num_threads() == 2


def test_a_pin_against_the_checkpoint_is_refused(tmp_path: Path) -> None:
    save(training(2), tmp_path)
    with pytest.raises(CheckpointError, match="with threads 2, got 1; leave --threads out"):
        resume_(training(1), tmp_path)


def test_waiting_is_passive_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    wait_passively()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    wait_passively()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


@pytest.mark.process
def test_the_command_waits_passively_before_torch_is_imported() -> None:
    code = (
        "import os, sys\n"
        "from bench.__main__ import main\n"
        "assert 'torch' not in sys.modules\n"
        "main(['devices', '--catalogue', '--quiet'])\n"
        "print(os.environ['OMP_WAIT_POLICY'])\n"
    )
    plain = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=plain, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "PASSIVE"
