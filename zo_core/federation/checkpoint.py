"""Checkpoints of a training run: payload bytes and JSON, never pickle.

A folder holds ``checkpoint.json`` (config, record, what the state file holds, its hash) and one
``state-<round>.bin``: the model's snapshot, the server's own state, then the round log.  The JSON
file is replaced in one move after the state is on disk, so that a process killed at any moment
leaves the last whole checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from zo_core.federation.log import RoundLog
from zo_core.federation.record import Evaluation, TrainingRecord
from zo_core.payload import DenseWeights, Payload, Snapshot

if TYPE_CHECKING:
    from zo_core.federation.training import Training

CHECKPOINT_VERSION = 1
_INDEX = "checkpoint.json"


class CheckpointError(ValueError):
    """A checkpoint that must not be resumed: damaged, of another run, or of another version."""


def save(training: Training, folder: Path) -> None:
    """Write a run's whole state; an earlier checkpoint in the folder is replaced.

    Args:
        training: between two rounds.
        folder: made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bodies = _bodies(training)
    state = b"".join(bodies)
    name = f"state-{training.record.rounds_done}.bin"
    index = {
        "version": CHECKPOINT_VERSION,
        "record": asdict(training.record),
        "state": name,
        "blake2b": hashlib.blake2b(state, digest_size=32).hexdigest(),
        "body_bytes": [len(body) for body in bodies],
    }
    _write(folder / name, state)
    _write(folder / _INDEX, json.dumps(index, indent=1).encode())
    for old in folder.glob("state-*.bin"):
        if old.name != name:
            old.unlink()


def resume_(training: Training, folder: Path) -> bool:
    """Bring a run that has not begun to the state of a checkpoint; it goes on to the same bits.

    Args:
        training: built from the config of the run that was saved.
        folder: where it was saved.

    Returns:
        False where the folder holds no checkpoint; the run is as it was.

    Raises:
        CheckpointError: the checkpoint is damaged, or of another config.
    """
    path = folder / _INDEX
    if not path.exists():
        return False
    try:
        index = json.loads(path.read_bytes())
        record, bodies = index["record"], _read_bodies(folder, index)
        _require_same_config(record["config"], training.config.to_json())
        snapshot, server, *log = [Payload.decode(body) for body in bodies]
    except CheckpointError:
        raise
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"the checkpoint in {folder} is damaged ({error}); delete the folder to begin anew"
        ) from error
    _restore_record(training.record, record)
    training.set_forward(training.record.forward, training.record.forward_trial_s)
    training.replica.restore_(cast(Snapshot, snapshot))
    values = cast(DenseWeights, server).values
    training.replica.server_state = np.array(values, np.float32) if values.size else None
    training.log = None
    if log:
        training.log = RoundLog(cast(Snapshot, log[0]), training.context_of)
        for result in log[1:]:
            training.log.append(result)
    return True


def _bodies(training: Training) -> list[bytes]:
    replica, log = training.replica, training.log
    run_id, round_index = training.config.run_seed, training.record.rounds_done
    nothing = np.empty(0, np.float32)
    server = DenseWeights(
        run_id=run_id,
        round_index=round_index,
        slot=0,
        samples=0,
        values=nothing if replica.server_state is None else replica.server_state,
    )
    now = [replica.snapshot(run_id=run_id, round_index=round_index).encode(), server.encode()]
    return now if log is None else [*now, log.snapshot.encode(), *log.bodies]


def _read_bodies(folder: Path, index: dict[str, Any]) -> list[bytes]:
    if index["version"] != CHECKPOINT_VERSION:
        raise CheckpointError(
            f"the checkpoint in {folder} has version {index['version']}, this program reads "
            f"{CHECKPOINT_VERSION}; delete the folder to begin anew"
        )
    state = (folder / index["state"]).read_bytes()
    if hashlib.blake2b(state, digest_size=32).hexdigest() != index["blake2b"]:
        raise ValueError(f"{index['state']} does not have the hash that {_INDEX} gives")
    ends = np.cumsum(index["body_bytes"]).tolist()
    return [state[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _require_same_config(saved: dict[str, Any], asked: dict[str, Any]) -> None:
    names = sorted(saved.keys() | asked.keys())
    changed = [name for name in names if saved.get(name) != asked.get(name)]
    if changed:
        raise CheckpointError(
            f"the checkpoint is of a run with other {', '.join(changed)}; "
            "resume with its config, or save elsewhere"
        )


def _restore_record(record: TrainingRecord, saved: dict[str, Any]) -> None:
    fixed = {"config", "high", "curve"}  # the first two follow from the config
    for name in saved.keys() - fixed:
        setattr(record, name, saved[name])
    record.curve = [Evaluation(**evaluation) for evaluation in saved["curve"]]


def _write(path: Path, data: bytes) -> None:
    """Put a whole file in place at once, on disk."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
