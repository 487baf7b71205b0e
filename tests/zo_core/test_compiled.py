"""Compiled forwards: one graph for all clients, and the same weights from the same scalars."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from zo_core import apply_updates_, digest, loss_differences, snap_
from zo_core.algorithms import train_config
from zo_core.data import synthetic_blobs
from zo_core.federation.simulation.training import Training
from zo_core.loss import forward_trial
from zo_core.loss.compiled import CompiledForward
from zo_core.loss.module_loss import mean_loss
from zo_core.models import build_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # torch.compile's own
    pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++ on a CPU"),
]


def test_a_graph_is_compiled_once_for_all_clients_and_steps() -> None:
    module = build_model("cnn", num_classes=10, in_channels=1, image_size=8, run_seed=0).eval()
    grid = snap_(module)
    other = build_model("cnn", num_classes=10, in_channels=1, image_size=8, run_seed=0).eval()
    others_grid = snap_(other)
    forward = CompiledForward(module)
    shards = [(torch.randn(16, 1, 8, 8), torch.arange(16) % 10) for _ in range(3)]
    for round_index in range(3):
        seeds, scalars = [], []
        for client, (x, y) in enumerate(shards):
            own = [100 * round_index + 10 * client + s for s in range(2)]
            with forward.active():
                found = loss_differences(
                    lambda x=x, y=y: mean_loss(module, x, y), module, own, epsilon=1e-3, grid=grid
                )
            plain = loss_differences(
                lambda x=x, y=y: mean_loss(module, x, y), module, own, epsilon=1e-3, grid=grid
            )
            assert found == pytest.approx(plain, abs=1e-5)
            seeds += own
            scalars += found.tolist()
        updates = list(zip(seeds, scalars, strict=True))
        for replica, exponents in ((module, grid), (other, others_grid)):
            apply_updates_(replica, updates, 1e-3, epsilon=1e-3, grid=exponents)
        assert digest(module, grid) == digest(other, others_grid)
    assert forward.compilations == 1


def test_another_shape_takes_another_graph_and_training_none() -> None:
    module = build_model("cnn", num_classes=10, in_channels=1, image_size=8, run_seed=0)
    forward = CompiledForward(module, backend="eager")
    with forward.active():
        for items in (4, 4, 3, 4, 3):
            mean_loss(module, torch.randn(items, 1, 8, 8), torch.arange(items))
    assert forward.compilations == 2
    module(torch.randn(5, 1, 8, 8)).sum().backward()
    assert forward.compilations == 2


def test_the_trials_graph_serves_the_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU with a compiler: one graph for trial, clients and rounds, by weights in place."""
    monkeypatch.setattr(forward_trial, "WORTH_COMPILING_S", 0.0)
    monkeypatch.setattr(forward_trial, "fastest_mode", lambda seconds: "compiled")
    config = train_config(
        **{"dataset": "synthetic", "clients": 4, "high_share": 0.5, "warmup_cohort": 2},
        **{"rounds": 4, "pivot": 1, "eval_every": 4, "forward": "auto"},
    )
    data = synthetic_blobs(train_items=80, test_items=20)
    record = Training(config, data).run()
    assert (record.forward, record.compilations) == ("compiled", 1)
    assert "compiled" in record.forward_trial_s
    plain = Training(replace(config, forward="contiguous"), data).run()
    assert record.final.test_accuracy == pytest.approx(plain.final.accuracy, abs=0.1)
