"""Checkpoints of a training run: safetensors and JSON, never pickle.

A folder holds ``checkpoint.json`` (config, record, which state file it goes with, its hash) and one
``state-<round>.safetensors``: weights, exponents, what replicas and server keep beside them, and
the round log as encoded bodies one after the other.  The JSON file is replaced in one move after
the state is on disk, so that a process killed at any moment leaves the last whole checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError

from zo_core.federation.log import RoundLog
from zo_core.federation.record import Evaluation, TrainingRecord
from zo_core.loss.passes import Passes
from zo_core.payloads.core import Payload, Snapshot
from zo_core.replica import gather
from zo_core.state import MethodState, RestoredState
from zo_core.threads import choose_threads

if TYPE_CHECKING:
    from zo_core.federation.simulation.training import Training

CHECKPOINT_VERSION = 8
_BLOCK = 1 << 20  # bytes read at once, so that a hash needs no memory of the file's size
_INDEX = "checkpoint.json"


class CheckpointError(ValueError):
    """A checkpoint that must not be resumed: damaged, of another run, or of another version."""


def save(training: Training, folder: Path) -> None:
    """Write a run's whole state; an earlier checkpoint in the folder is replaced.

    Args:
        training: between two rounds.
        folder: made where it is missing.

    Raises:
        OSError: it cannot be written; the checkpoint before it is whole.
    """
    try:
        _write(training, folder)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        done = training.record.rounds_done
        raise OSError(
            f"the checkpoint of round {done} cannot be written to {folder} ({reason}); the one "
            "before is intact: free some space and continue with --resume"
        ) from error
    finally:
        for part in folder.glob("*.part"):
            part.unlink()


def _write(training: Training, folder: Path) -> None:
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    name = f"state-{training.record.rounds_done}.safetensors"
    part = folder / f"{name}.part"
    save_file(_state(training), part)
    _put(part, folder / name)
    index = {
        "version": CHECKPOINT_VERSION,
        "record": training.record.to_json(),
        "state": name,
        "blake2b": _hash(folder / name),
    }
    part = folder / f"{_INDEX}.part"
    part.write_text(json.dumps(index, indent=1))
    _put(part, folder / _INDEX)
    for old in folder.glob("state-*"):
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
        record, state = index["record"], _read_state(folder, index)
        _require_same_config(record["config"], training.config.to_json())
        snapshot, log = _snapshot(training, record, state), _read_log(state)
        server, clients = state["server_state"], _clients(state)
    except CheckpointError:
        raise
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"the checkpoint in {folder} is damaged ({error}); delete the folder to start again"
        ) from error
    chosen, trial_s = training.record.threads, training.record.threads_trial_s
    if chosen is not None and not trial_s and chosen != record["threads"]:
        raise CheckpointError(
            f"the checkpoint belongs to a run with threads {record['threads']}, got {chosen}; "
            "leave --threads out to continue with those"
        )
    _restore_record(training.record, record)
    choose_threads(training.record.threads, training.replica.module, training.data.items.x)
    training.set_forward(training.record.forward)
    training.replica.restore_(snapshot)
    training.replica.server_state = RestoredState(np.array(server)) if server.size else None
    training.replica.client_states = clients
    training.log = None
    if log:
        training.log = RoundLog(cast(Snapshot, log[0]), training.context_of)
        for result in log[1:]:
            training.log.append(result)
    return True


def _state(training: Training) -> dict[str, npt.NDArray[Any]]:
    """Gather all arrays that the rest of the run depends on."""
    replica, log = training.replica, training.log
    now = replica.snapshot(run_id=0, round_index=0)
    bodies = [] if log is None else [log.snapshot.encode(), *log.bodies]
    server = [] if replica.server_state is None else replica.server_state.arrays()
    clients = [gather(state.arrays()) for state in replica.client_states.values()]
    return {
        "weights": now.values,  # float32, frozen parameters and buffers included
        "exponents": now.exponents,  # int32, (tensors,); empty without a grid
        "shared_state": now.state,  # float32
        "server_state": gather(server),  # float32
        "client_slots": np.array(list(replica.client_states), np.int64),
        "client_states": np.array(clients, np.float32),  # (clients, values)
        "log": np.frombuffer(b"".join(bodies), np.uint8),
        "log_bytes": np.array([len(body) for body in bodies], np.int64),  # of each body
    }


def _read_state(folder: Path, index: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
    from safetensors.numpy import load_file

    if index["version"] != CHECKPOINT_VERSION:
        raise CheckpointError(
            f"the checkpoint in {folder} has version {index['version']}, this program reads "
            f"{CHECKPOINT_VERSION}; delete the folder to start again"
        )
    path = folder / index["state"]
    if _hash(path) != index["blake2b"]:
        raise ValueError(f"{path.name} does not have the hash that {_INDEX} gives")
    return load_file(path)


def _snapshot(
    training: Training, record: dict[str, Any], state: dict[str, npt.NDArray[Any]]
) -> Snapshot:
    return Snapshot(
        run_id=training.config.run_seed,
        round_index=record["rounds_done"],
        exponents=state["exponents"],
        values=state["weights"],
        state=state["shared_state"],
    )


def _read_log(state: dict[str, npt.NDArray[Any]]) -> list[Payload]:
    log, ends = state["log"].tobytes(), np.cumsum(state["log_bytes"]).tolist()
    return [Payload.decode(log[start:end]) for start, end in pairwise([0, *ends])]


def _clients(state: dict[str, npt.NDArray[Any]]) -> dict[int, MethodState]:
    """What clients keep between rounds, by slot; each of its own memory."""
    pairs = zip(state["client_slots"].tolist(), state["client_states"], strict=True)
    return {slot: RestoredState(np.array(kept)) for slot, kept in pairs}


def _require_same_config(saved: dict[str, Any], asked: dict[str, Any]) -> None:
    names = sorted(saved.keys() | asked.keys())
    changed = [name for name in names if saved.get(name) != asked.get(name)]
    if changed:
        raise CheckpointError(
            f"the checkpoint belongs to a run with different {', '.join(changed)}; "
            "resume with its config, or save elsewhere"
        )


def _restore_record(record: TrainingRecord, saved: dict[str, Any]) -> None:
    fixed = {"config", "high", "curve"}  # the first two follow from the config
    for name in saved.keys() - fixed:
        setattr(record, name, saved[name])
    record.passes_by_method = {n: Passes(**p) for n, p in saved["passes_by_method"].items()}
    record.curve = [Evaluation(**evaluation) for evaluation in saved["curve"]]


def _put(part: Path, path: Path) -> None:
    """Put a whole file in place at once, on disk."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def _hash(path: Path) -> str:
    state = hashlib.blake2b(digest_size=32)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            state.update(block)
    return state.hexdigest()
