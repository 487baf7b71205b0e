"""A resumed run ends with the bits of one that was never interrupted; damage is told, not used."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from zo_core.algorithms import train_config
from zo_core.data import Dataset, load_dataset
from zo_core.federation.record import TrainingRecord
from zo_core.federation.simulation.run_checkpoint import (
    CHECKPOINT_VERSION,
    CheckpointError,
    resume_,
    save,
)
from zo_core.federation.simulation.training import Training

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SMALL: dict[str, Any] = {"clients": 6, "rounds": 8, "pivot": 4, "warmup_cohort": 2}
SMALL |= {"zo_cohort": 3, "high_share": 0.5, "local_epochs": 1, "eval_every": 3, "run_seed": 3}


@cache
def digits() -> Dataset:
    return load_dataset("digits")


def training(**changes: Any) -> Training:
    return Training(train_config(**{**SMALL, **changes}), digits())


class StoppedError(Exception):
    pass


def interrupted(folder: Path, rounds: int, **changes: Any) -> None:
    def stop(record: TrainingRecord) -> None:
        if record.rounds_done == rounds:
            raise StoppedError

    run = training(**changes)
    with pytest.raises(StoppedError):
        run.run(stop, save=partial(save, run, folder), save_every=1)


def outcome(record: TrainingRecord) -> Any:
    """Everything but the seconds."""
    curve = [(e.rounds_done, e.test_accuracy, e.down_payload_bytes) for e in record.curve]
    up_down = (record.up_payload_bytes, record.down_payload_bytes, record.handover_bytes)
    return record.digest, record.rounds_done, record.zero_shares, curve, up_down


@pytest.mark.parametrize(
    ("changes", "stops"),
    [
        ({"algorithm": "zowarmup"}, (2, 4, 7)),  # in the warm-up, at the hand-over, in phase two
        ({"algorithm": "zowarmup", "norm": "batch"}, (5,)),
        ({"algorithm": "zowarmup", "grid": False}, (6,)),
        ({"algorithm": "zowarmup-fedadam"}, (2, 6)),  # the server's state, then everyone's
        ({"algorithm": "zowarmup-fedkseed"}, (6,)),
        ({"algorithm": "zowarmup-hi-lo"}, (6,)),
        ({"algorithm": "dgc"}, (4,)),  # what each client keeps back
        ({"algorithm": "scaffold"}, (4,)),  # that, and what everyone holds
    ],
)
def test_a_resumed_run_ends_as_one_that_was_never_interrupted(
    changes: dict[str, Any], stops: tuple[int, ...], tmp_path: Path
) -> None:
    whole = training(**changes).run()
    for rounds in stops:
        folder = tmp_path / str(rounds)
        interrupted(folder, rounds, **changes)
        again = training(**changes)
        assert resume_(again, folder)
        assert again.record.rounds_done == rounds
        assert outcome(again.run()) == outcome(whole)


KILLED = SMALL | {"dataset": "synthetic", "rounds": 12}
_ENDLESSLY_KILLED = """
import os, random, signal, sys, torch
from pathlib import Path
from zo_core.algorithms import train_config
from zo_core.data import load_dataset
from zo_core.federation.simulation.run_checkpoint import resume_, save
from zo_core.federation.simulation.training import Training
torch.set_num_threads(1)
folder, doomed = Path(sys.argv[2]), int(sys.argv[3])
config = train_config(**eval(sys.argv[1]))
run = Training(config, load_dataset(config.dataset))
resume_(run, folder)
def kill(record):
    if record.rounds_done == doomed:
        os.kill(os.getpid(), signal.SIGKILL)
print(run.run(kill, save=lambda: save(run, folder), save_every=2).digest)
"""


@pytest.mark.slow
@pytest.mark.process
def test_a_run_that_is_killed_three_times_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    # GIVEN three rounds at random; WHEN a process is killed after each, and another one goes on
    for doomed in sorted(random.sample(range(1, KILLED["rounds"]), 3)):
        assert run_until(tmp_path, doomed).returncode == -signal.SIGKILL, doomed
    last = run_until(tmp_path, -1)
    # THEN the last one ends with the digest of a run that nobody killed
    whole = Training(train_config(**KILLED), load_dataset("synthetic")).run()
    assert last.stdout.strip() == whole.digest


def run_until(folder: Path, doomed: int) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", _ENDLESSLY_KILLED, repr(KILLED), str(folder), str(doomed)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_a_late_joiner_can_replay_a_resumed_runs_log(tmp_path: Path) -> None:
    interrupted(tmp_path, 6)
    again, late = training(), training(run_seed=9)
    resume_(again, tmp_path)
    again.run()
    assert again.log is not None
    again.log.replay_(again.schedule.phase_at(7).method, late.replica)
    assert late.replica.digest() == again.replica.digest()


def test_an_empty_folder_begins_a_run(tmp_path: Path) -> None:
    run = training()
    assert not resume_(run, tmp_path / "missing")
    assert run.record.rounds_done == 0


def test_only_the_last_checkpoint_is_kept(tmp_path: Path) -> None:
    interrupted(tmp_path, 5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.json", "state-5.safetensors"]


@pytest.mark.parametrize("damage", ["state", "shorter", "json", "missing", "key"])
def test_a_damaged_checkpoint_is_an_error_that_leaves_run_and_folder(
    damage: str, tmp_path: Path
) -> None:
    run = training()
    save(run, tmp_path)
    state, index = tmp_path / "state-0.safetensors", tmp_path / "checkpoint.json"
    body = bytearray(state.read_bytes())
    if damage == "state":
        body[100] ^= 1
        state.write_bytes(body)
    elif damage == "shorter":
        state.write_bytes(body[:-1])
    elif damage == "json":
        index.write_text(index.read_text()[:-5])
    elif damage == "missing":
        state.unlink()
    else:
        index.write_text(json.dumps({"version": 3}))
    before, listing = run.replica.digest(), sorted(tmp_path.iterdir())
    with pytest.raises(CheckpointError, match="is damaged"):
        resume_(run, tmp_path)
    assert run.replica.digest() == before
    assert sorted(tmp_path.iterdir()) == listing


def test_a_checkpoint_of_another_config_or_version_is_refused(tmp_path: Path) -> None:
    save(training(), tmp_path)
    with pytest.raises(CheckpointError, match="run with different rounds, run_seed; resume with"):
        resume_(training(rounds=9, run_seed=4), tmp_path)
    index, later = tmp_path / "checkpoint.json", CHECKPOINT_VERSION + 1
    index.write_text(json.dumps({**json.loads(index.read_text()), "version": later}))
    with pytest.raises(CheckpointError, match=f"has version {later}, this program reads"):
        resume_(training(), tmp_path)
