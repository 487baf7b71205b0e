"""Modes of a forward: the same loss up to rounding, chosen once, kept by record and checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from zo_core.algorithms import train_config
from zo_core.data import synthetic_blobs
from zo_core.federation.build import items_ahead
from zo_core.federation.round_schedule import Schedule
from zo_core.federation.simulation.run_checkpoint import resume_, save
from zo_core.federation.simulation.training import Training
from zo_core.loss import forward_trial
from zo_core.loss.forward_mode import FORWARD_MODES
from zo_core.loss.forward_trial import (
    ForwardTrial,
    can_compile,
    fastest_mode,
    try_forward_modes,
)
from zo_core.loss.module_loss import mean_loss
from zo_core.models import build_model

CONFIG = train_config(
    dataset="synthetic", clients=4, high_share=0.5, warmup_cohort=2, rounds=4, pivot=1, eval_every=4
)


def small_data() -> object:
    return synthetic_blobs(train_items=80, test_items=20)


@pytest.mark.parametrize("name", FORWARD_MODES)
def test_every_mode_gives_the_loss(name: str) -> None:
    module = build_model("small_resnet", in_channels=3, image_size=8, run_seed=1)
    x, y = torch.randn(6, 3, 8, 8), torch.arange(6)
    mode = FORWARD_MODES[name]
    laid_out = mode.lay_out(x)
    with mode.active():
        assert mean_loss(module, laid_out, y) == pytest.approx(mean_loss(module, x, y), rel=1e-5)
    assert torch.equal(laid_out, x)


def test_a_mode_ends_with_its_context_and_leaves_the_weights_where_they_are() -> None:
    module = build_model("cnn", in_channels=1, image_size=8, run_seed=1)
    before = [(p.data_ptr(), p.stride(), p.clone()) for p in module.parameters()]
    enabled = torch.backends.mkldnn.enabled
    with pytest.raises(KeyError), FORWARD_MODES["native"].active():
        raise KeyError(torch.backends.mkldnn.enabled)
    trial = try_forward_modes(module, torch.randn(4, 1, 8, 8))
    assert torch.backends.mkldnn.enabled == enabled
    assert list(trial.seconds) == [n for n, mode in FORWARD_MODES.items() if not mode.compiled]
    assert all(0 < s < trial.cost_s for s in trial.seconds.values())
    for parameter, (address, stride, values) in zip(module.parameters(), before, strict=True):
        assert (parameter.data_ptr(), parameter.stride()) == (address, stride)
        assert torch.equal(parameter, values)


def test_inputs_that_are_no_images_have_one_layout() -> None:
    tokens = torch.arange(6).reshape(2, 3)
    assert all(torch.equal(mode.lay_out(tokens), tokens) for mode in FORWARD_MODES.values())


@pytest.mark.parametrize("mode", ["channels_last", "native"])
def test_a_resumed_run_keeps_the_mode_that_its_trial_chose(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a device on which a mode wins the trial, and a run that is saved half way
    monkeypatch.setattr(
        "zo_core.federation.build.try_forward_modes",
        lambda *_, **__: ForwardTrial(
            mode=mode, seconds={"contiguous": 1.0, mode: 0.1}, cost_s=2.0
        ),
    )
    config = replace(CONFIG, forward="auto")
    whole = Training(config, small_data()).run()
    assert whole.forward == mode
    first = Training(config, small_data())
    first.run(save=partial(save, first, tmp_path), save_every=3)
    # WHEN it goes on where another mode would win
    monkeypatch.setattr(
        "zo_core.federation.build.try_forward_modes",
        lambda *_, **__: ForwardTrial(mode="contiguous", seconds={"contiguous": 1.0}),
    )
    resumed = Training(config, small_data())
    assert resume_(resumed, tmp_path)
    record = resumed.run()
    # THEN the choice and the bits are those of the run that was not interrupted
    assert (record.forward, record.forward_trial_s) == (mode, whole.forward_trial_s)
    assert record.forward_trial_cost_s == 2.0
    assert record.digest == whole.digest


def test_a_config_that_names_a_mode_has_no_trial() -> None:
    record = Training(replace(CONFIG, forward="channels_last"), small_data()).record
    assert (record.forward, record.forward_trial_s) == ("channels_last", {})


def test_noise_changes_nothing() -> None:
    assert fastest_mode({"contiguous": 1.0, "native": 0.91}) == "contiguous"
    assert fastest_mode({"contiguous": 1.0, "native": 0.89}) == "native"


class FakeCompiled:
    """A compiled forward that takes no time to make; counts its shapes as graphs."""

    made: ClassVar[list[FakeCompiled]] = []

    def __init__(self, module: nn.Module, fails: bool = False) -> None:
        self.compilations, self._fails = 0, fails
        FakeCompiled.made.append(self)

    @contextmanager
    def active(self) -> Iterator[None]:
        if self._fails:
            raise RuntimeError("BackendCompilerFailed: no linker\nlong trace")
        self.compilations = 1
        yield


@pytest.fixture
def fake_compiler(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine with a compiler, on which a compiled forward takes a quarter of the time."""
    monkeypatch.setattr(forward_trial, "CompiledForward", FakeCompiled)
    monkeypatch.setattr(forward_trial, "can_compile", lambda device_type: True)
    take_turns = forward_trial._take_turns

    def timed(module: nn.Module, x: torch.Tensor, calls: Any) -> dict[str, float]:
        found = take_turns(module, x, calls)
        return {name: 0.25 if name == "compiled" else 1.0 for name in found}

    monkeypatch.setattr(forward_trial, "_take_turns", timed)
    FakeCompiled.made.clear()
    return monkeypatch


@pytest.mark.parametrize(("seconds", "tried"), [(299, False), (301, True)])
def test_a_compilation_is_tried_where_the_runs_forwards_take_minutes(
    seconds: int, tried: bool, fake_compiler: pytest.MonkeyPatch
) -> None:
    module = build_model("cnn", in_channels=1, image_size=8, run_seed=1)
    x = torch.randn(20, 1, 8, 8)  # the trial's first forwards take one second per 16
    trial = try_forward_modes(module, x, items_ahead=16 * seconds)
    assert ("compiled" in trial.seconds) == tried
    assert trial.mode == ("compiled" if tried else "contiguous")
    assert (trial.compiled is not None) == tried


def test_a_compilation_that_fails_leaves_the_other_modes_and_one_line(
    fake_compiler: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake_compiler.setattr(forward_trial, "CompiledForward", partial(FakeCompiled, fails=True))
    module = build_model("cnn", in_channels=1, image_size=8, run_seed=1)
    with caplog.at_level(logging.WARNING):
        trial = try_forward_modes(module, torch.randn(20, 1, 8, 8), items_ahead=1e9)
    assert trial.mode == "contiguous"
    assert trial.compiled is None
    assert [r.getMessage() for r in caplog.records] == [
        "forwards are not compiled: BackendCompilerFailed: no linker"
    ]


def test_a_run_goes_on_with_the_graph_of_its_trial_and_the_same_bits(
    fake_compiler: pytest.MonkeyPatch,
) -> None:
    plain = Training(CONFIG, small_data()).run()
    fake_compiler.setattr(forward_trial, "WORTH_COMPILING_S", 0.0)
    record = Training(replace(CONFIG, forward="auto"), small_data()).run()
    assert record.forward == "compiled"
    assert len(FakeCompiled.made) == 1
    assert record.compilations == 1
    assert record.forward_trial_cost_s > 0
    assert record.digest == plain.digest


def test_the_forwards_ahead_are_those_of_zeroth_order_rounds() -> None:
    phases = Schedule(CONFIG).algorithm.phases
    # three rounds of four clients, three directions of two forwards each
    assert items_ahead(CONFIG, phases, [20] * 4) == 3 * 4 * 3 * 2 * 20
    assert items_ahead(replace(CONFIG, micro_batch=8), phases, [20] * 4) > 0  # by 8 and by 4
    assert items_ahead(CONFIG, phases, [20, 21, 22, 23]) == 0  # a graph for each size
    fedavg = train_config("fedavg", clients=4, warmup_cohort=2, high_share=0.5)
    assert items_ahead(fedavg, Schedule(fedavg).algorithm.phases, [20] * 4) == 0


def test_a_gpu_needs_triton_and_a_cpu_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/g++" if name == "g++" else None)
    assert can_compile("cpu")
    assert not can_compile("cuda")
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert not can_compile("cpu")
