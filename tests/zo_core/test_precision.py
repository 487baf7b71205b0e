"""The compute dtype is chosen, recorded and refused where its scalars are noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zo_core.algorithms import train_config
from zo_core.data.synthetic import synthetic_blobs
from zo_core.federation.simulation.training import Training
from zo_core.loss.noise import PrecisionError, ScalarNoise
from zo_core.loss.precision import _current_switches, _float32_as, computing_in
from zo_core.loss.scalar_noise import measure_scalar_noise
from zo_core.models import build_model

CONFIG: dict[str, Any] = {
    "clients": 4,
    "high_share": 0.5,
    "warmup_cohort": 2,
    "rounds": 4,
    "pivot": 2,
    "eval_every": 4,
}


def cnn() -> nn.Module:
    return build_model("cnn", num_classes=10, in_channels=1, image_size=8, run_seed=0)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(64, 1, 8, 8, generator=generator), torch.arange(64) % 10


def settings() -> list[Any]:
    return [getattr(owner, name) for owner, name, _ in _current_switches("ieee")]


def noise_of(precision: str, module: nn.Module | None = None) -> ScalarNoise:
    return measure_scalar_noise(
        module or cnn(), *batch(), precision=precision, epsilon=1e-4, tau=0.75
    )


@pytest.mark.parametrize(
    ("precision", "float32", "dtype"),
    [
        ("fp32", "ieee", torch.float32),
        ("tf32", "tf32", torch.float32),
        ("fp16", "tf32", torch.float16),
        ("bf16", "tf32", torch.bfloat16),
    ],
)
def test_a_precision_sets_every_switch_and_puts_it_back(
    precision: str, float32: str, dtype: torch.dtype
) -> None:
    before = settings()
    a = torch.ones(2, 2)
    with computing_in(precision, "cpu", forwards_only=True):
        assert set(settings()) <= {float32, float32 == "tf32"}
        assert (a @ a).dtype == dtype
    with computing_in(precision, "cpu", forwards_only=False):
        assert (a @ a).dtype == torch.float32  # backprop has no autocast
    assert settings() == before


@pytest.mark.skipif(not settings(), reason="torch has the older switches only")
@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_cudnns_older_switch_agrees_with_its_current_ones(precision: str) -> None:
    """Torch refuses to read a switch that differs, and torch.export reads it."""
    with computing_in(precision, "cpu", forwards_only=True):
        assert torch.backends.cudnn.allow_tf32 is (precision == "tf32")
    conv: Any = torch.backends.cudnn.conv
    before, conv.fp32_precision = conv.fp32_precision, "ieee"  # by the process, and this one only
    try:
        with computing_in(precision, "cpu", forwards_only=True):
            assert torch.backends.cudnn.allow_tf32 is (precision == "tf32")
        assert conv.fp32_precision == "ieee"
    finally:
        conv.fp32_precision = before


@pytest.mark.parametrize("wanted", ["ieee", "tf32"])
def test_torchs_older_switches_are_set_where_there_are_no_others(
    wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Backend:
        allow_tf32 = wanted != "tf32"

    matmul, cudnn = Backend(), Backend()
    monkeypatch.setattr("zo_core.loss.precision._current_switches", lambda wanted: [])
    monkeypatch.setattr("torch.backends.cuda.matmul", matmul)
    monkeypatch.setattr("torch.backends.cudnn", cudnn)
    with _float32_as(wanted):
        assert matmul.allow_tf32 is cudnn.allow_tf32 is (wanted == "tf32")
    assert matmul.allow_tf32 is cudnn.allow_tf32 is (wanted != "tf32")


def test_the_noise_grows_with_the_dtypes_coarseness_and_the_model_stays() -> None:
    module = cnn()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    found = {name: noise_of(name, module).relative_rms for name in ("fp32", "fp16", "bf16")}
    assert found["fp32"] < 1e-2 < found["fp16"] < found["bf16"]
    assert found["bf16"] > 0.3
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_what_is_too_coarse_is_refused_unless_forced() -> None:
    noise = noise_of("bf16")
    with pytest.raises(PrecisionError, match=r"at most 10%, got .*--precision tf32 or fp32"):
        noise.check(force=False)
    noise.check(force=True)
    noise_of("fp32").check(force=False)


@pytest.mark.parametrize(
    ("precision", "refused"), [("fp32", False), ("fp16", False), ("bf16", True)]
)
def test_without_float64_bf16_alone_is_refused(precision: str, refused: bool) -> None:
    class NoFloat64(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.dtype == torch.float64:
                raise TypeError("this device has no float64")
            return super().forward(x)

    x = torch.randn(8, 5)
    noise = measure_scalar_noise(
        NoFloat64(5, 3), x, torch.arange(8) % 3, precision=precision, epsilon=1e-3
    )
    assert noise.relative_rms is None
    assert "this device has no float64" in (noise.reason or "")
    if precision == "bf16":
        with pytest.raises(PrecisionError):
            noise.check(force=False)
    else:
        noise.check(force=False)


def test_a_training_records_precision_and_noise_and_refuses_bf16() -> None:
    dataset = synthetic_blobs()
    record = Training(train_config(**CONFIG), dataset).run()
    assert record.to_json()["config"]["precision"] == "fp32"
    assert record.scalar_noise is not None
    assert record.scalar_noise["relative_rms"] < 0.01
    assert record.scalar_noise["repeat_difference"] == 0.0
    with pytest.raises(PrecisionError, match="precision bf16"):
        Training(train_config(**CONFIG, precision="bf16"), dataset)
    forced = Training(train_config(**CONFIG, precision="bf16", force=True), dataset).run()
    assert forced.digest != record.digest


def test_methods_without_scalars_are_not_looked_at() -> None:
    config = train_config("fedavg", **CONFIG, precision="bf16")
    record = Training(config, synthetic_blobs()).run()
    assert record.scalar_noise is None


def test_the_process_settings_do_not_reach_a_training() -> None:
    """GIVEN a process that allows coarse products, THEN a run has the bits of one that does not."""
    dataset = synthetic_blobs()
    plain = Training(train_config(**CONFIG), dataset).run()
    with _float32_as("tf32"):
        other = Training(train_config(**CONFIG), dataset).run()
    assert other.digest == plain.digest
    assert np.isfinite(plain.curve[-1].test_accuracy)
