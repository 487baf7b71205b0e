"""An own model from start to end: a table, plans by records, weights that a run starts from."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_own_by_the_docs import SPARE, started, zobench
from waiting import WAIT_S, free_port

from bench.records.details.training import TrainDetails
from bench.records.store import read_records

pytestmark = [pytest.mark.process, pytest.mark.slow]
MODELS = """
from torch import nn


def net(classes=3):
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, classes))


def four():
    return net(4)
"""
SHORT = ["--clients", "8", "--split", "50/50", "--warmup-cohort", "4"]
OWN = ["--dataset", "clicks.npz"]
TABLE = ["run", "--only", "table6", "--scale", "smoke", "--seeds", "1", "--workers", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a module with models, a data set, weights of one of the models."""
    made = tmp_path_factory.mktemp("own")
    (made / "my_net.py").write_text(MODELS)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 600)
    x = rng.normal(size=(600, 6)).astype(np.float32)
    x[np.arange(600), y] += 3.0
    np.savez(made / "clicks.npz", x=x, y=y)
    shapes = {"0.weight": (16, 6), "0.bias": (16,), "2.weight": (3, 16), "2.bias": (3,)}
    generator = torch.Generator().manual_seed(1)
    weights = {n: 0.2 * torch.randn(shape, generator=generator) for n, shape in shapes.items()}
    save_file(weights, made / "start.safetensors")
    return made


def test_a_table_trains_an_own_model_and_names_what_its_weights_lack(folder: Path) -> None:
    own = ["--model", "my_net:four", *OWN, "--init", "start.safetensors", "--out", "table"]
    said = zobench(folder, [*TABLE, *own])
    assert re.search(r"2 of 2 runs done, 0 failed", said)
    assert "2.weight: file (3, 16), model (4, 16)" in said
    (record,) = read_records(folder / "table")
    assert record.config["base"]["model"] == "my_net:four"
    assert any("2.bias" in note for note in record.details["notes"])
    accuracy = record.metrics["rademacher/10-90/test_accuracy"].value
    assert 1 / 3 < (accuracy or 0) <= 1


def test_a_training_names_what_its_weights_lack(folder: Path) -> None:
    rounds = ["--rounds", "4", "--pivot", "2", *SHORT, *SPARE, "--out", "four"]
    words = ["train", "--model", "my_net:four", *OWN, "--init", "start.safetensors", *rounds]
    assert "2 tensors with another shape in the file" in zobench(folder, words)
    (record,) = read_records(folder / "four")
    assert "model (4, 16)" in record.details["remarks"][0]


def test_a_plan_takes_its_rounds_from_a_training(folder: Path) -> None:
    train = ["train", "--model", "my_net:net", *OWN, "--rounds", "20", "--pivot", "10", *SHORT]
    zobench(folder, [*train, "--eval-every", "5", *SPARE, "--out", "trained"])
    (record,) = read_records(folder / "trained")
    details = record.details_as(TrainDetails)
    assert details is not None
    point = next(p for p in details.curve if p.accuracy >= 0.5)
    plan = ["plan", "--model", "my_net:net", "--input-shape", "6", "--items", "60", *SHORT]
    said = zobench(folder, [*plan, "--to", "0.5", "--trained", "trained", "--json", "-q"])
    zo, fedavg, _ = json.loads(said)["variants"]
    assert (zo["rounds"], fedavg["rounds"]) == (point.rounds_done, None)
    assert zo["run_h"]["value"] > 0
    assert fedavg["run_h"]["value"] is None


def test_a_plan_scales_by_the_step_times_of_another_device(folder: Path) -> None:
    """GIVEN records of this very machine: the factor is one, as far as a busy machine is steady."""
    timed = ["run", "--only", "time", "--scale", "smoke", "--model", "my_net:net"]
    zobench(folder, [*timed, "--input-shape", "6", "--out", "board"])
    plan = ["plan", "--model", "my_net:net", "--input-shape", "6", "--items", "60", *SHORT]
    plan += ["--rounds", "10", "--json", "-q"]
    board = ["--device", "pi-zero-2", "--records", "board"]
    here, there = (
        json.loads(zobench(folder, words))["variants"][0]["run_h"]
        for words in (plan, [*plan, *board])
    )
    assert re.search(r"scaled by \d step times of board", there["basis"])
    assert there["low"] <= there["value"] <= there["high"]
    assert here["value"] / 10 < there["value"] < here["value"] * 10


@pytest.mark.network
def test_a_server_starts_from_given_weights(folder: Path) -> None:
    """GIVEN a rate that changes nothing: the run ends with the weights that it began with."""
    port = str(free_port())
    start = ["--model", "my_net:net", *OWN, "--init", "start.safetensors", "--algorithm", "mezo"]
    rules = [
        "--clients",
        "2",
        "--split",
        "50/50",
        "--rounds",
        "1",
        "--zo-server-lr",
        "1e-12",
        "--dir",
        "served",
    ]
    module = [sys.executable, "-m", "bench"]
    join = [*module, "join", "--import", "my_net", "--name"]
    with (
        started(folder, [*module, "serve", *start, *rules], port) as server,
        started(folder, [*join, "first"], port) as first,
        started(folder, [*join, "second"], port) as second,
    ):
        said = [process.communicate(timeout=WAIT_S)[0] for process in (server, first, second)]
    assert server.returncode == 0, said
    ended = load_file(folder / "served" / "weights.safetensors")
    for name, tensor in load_file(folder / "start.safetensors").items():
        assert torch.allclose(ended[name], tensor, atol=1e-6), name
