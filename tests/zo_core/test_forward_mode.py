"""Modes of a forward: the same loss up to rounding, chosen once, kept by record and checkpoint."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from zo_core.algorithms import train_config
from zo_core.data import synthetic_blobs
from zo_core.federation.simulation.run_checkpoint import resume_, save
from zo_core.federation.simulation.training import Training
from zo_core.loss.forward_mode import FORWARD_MODES, fastest_mode, try_forward_modes
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
    seconds = try_forward_modes(module, torch.randn(4, 1, 8, 8))
    assert torch.backends.mkldnn.enabled == enabled
    assert list(seconds) == [n for n, mode in FORWARD_MODES.items() if not mode.compiled]
    assert all(0 < s < 10 for s in seconds.values())
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
        lambda module, x: {"contiguous": 1.0, "channels_last": 1.0, "native": 1.0, mode: 0.1},
    )
    config = replace(CONFIG, forward="auto")
    whole = Training(config, small_data()).run()
    assert whole.forward == mode
    first = Training(config, small_data())
    first.run(save=partial(save, first, tmp_path), save_every=3)
    # WHEN it goes on where another mode would win
    monkeypatch.setattr(
        "zo_core.federation.build.try_forward_modes", lambda module, x: {"contiguous": 1.0}
    )
    resumed = Training(config, small_data())
    assert resume_(resumed, tmp_path)
    record = resumed.run()
    # THEN the choice and the bits are those of the run that was not interrupted
    assert (record.forward, record.forward_trial_s) == (mode, whole.forward_trial_s)
    assert record.digest == whole.digest


def test_a_config_that_names_a_mode_has_no_trial() -> None:
    record = Training(replace(CONFIG, forward="channels_last"), small_data()).record
    assert (record.forward, record.forward_trial_s) == ("channels_last", {})


def test_noise_changes_nothing() -> None:
    assert fastest_mode({"contiguous": 1.0, "native": 0.91}) == "contiguous"
    assert fastest_mode({"contiguous": 1.0, "native": 0.89}) == "native"
