"""Results on a full disk: the file that was there stays, the error names it, nothing is left."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.cli import replay as replay_command
from bench.cli import serve
from zo_core.models.initial_weights import save_weights
from zo_core.torch import ZOSGD
from zo_core.whole_files import whole_file

ROOM = 512  # bytes of a file, from which on the disk is full


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Let the system refuse the bytes of a file beyond ROOM."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def some_log() -> Any:
    weight = nn.Parameter(torch.ones(4))
    optimizer = ZOSGD([weight], lr=0.01, run_seed=1, directions=64)
    optimizer.step(lambda: weight.square().sum())
    return optimizer.log()


def write_log(path: Path) -> None:
    some_log().save(path)


def write_weights(path: Path) -> None:
    save_weights(nn.Linear(64, 64), path, {"model": "linear"})


def write_replayed(path: Path) -> None:
    replay_command._write({"w": np.zeros(4096, np.float32)}, path, {})


def write_outcome(path: Path) -> None:
    with whole_file(path) as part:
        part.write_text(json.dumps({"digest": "0" * 1024}))


def write_results_of_a_server(path: Path) -> None:
    """The outcome fits, the weights do not."""
    replica = SimpleNamespace(digest=lambda: b"\1", module=nn.Linear(64, 64))
    plan = SimpleNamespace(config=SimpleNamespace(model="linear"))
    serve._write_results(SimpleNamespace(replica=replica, plan=plan), {}, path.parent)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "write",
    [write_log, write_weights, write_replayed, write_outcome, write_results_of_a_server],
)
@pytest.mark.parametrize("had_one", [True, False])
def test_a_file_on_a_full_disk_is_named_and_the_one_before_stays(
    tmp_path: Path, full_disk: None, write: Callable[[Path], None], had_one: bool
) -> None:
    path = tmp_path / serve.WEIGHTS_FILE
    if had_one:
        path.write_bytes(b"before")
    with pytest.raises(OSError, match="what was there is unchanged") as error:
        write(path)
    assert error.value.filename == str(path)
    assert (path.read_bytes() if path.exists() else None) == (b"before" if had_one else None)
    assert {left.name for left in tmp_path.iterdir()} <= {path.name, serve.OUTCOME_FILE}


def test_a_log_is_read_again_as_it_was_saved(tmp_path: Path) -> None:
    log = some_log()
    for _ in range(2):
        log.save(tmp_path / "new" / "log")
    assert type(log).load(tmp_path / "new" / "log").encode() == log.encode()
