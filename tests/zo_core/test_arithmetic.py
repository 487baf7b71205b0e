"""A client without torch says how it computes, and refuses an arithmetic that loses its scalars."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from linear_export import batch, change_manifest, linear_folder, reference_loss
from torch import nn

from zo_core import loss_differences, snap_
from zo_core.algorithms import train_config
from zo_core.edge.arithmetic import ForwardArithmetic, measure_arithmetic
from zo_core.edge.export import export_model
from zo_core.edge.load import load_replica
from zo_core.edge.manifest import GRAPH_FILE, read_manifest
from zo_core.edge.onnx_loss import OnnxForward
from zo_core.edge.reference import Reference, reference_batch, reference_seeds
from zo_core.edge.session_arithmetic import BFLOAT16_OPTION, _has_kleidiai, has_sme, read_session
from zo_core.federation.protocol.plan import Plan
from zo_core.federation.protocol.trainers import OnnxTrainer
from zo_core.loss.noise import MAX_NOISE, PrecisionError, relative_noise
from zo_core.replica import Replica

FEATURES, EPSILON, ITEMS = 12, 1e-3, 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A linear model whose reference NumPy computes in float64."""
    linear_folder(tmp_path, features=FEATURES)
    replica = load_replica(tmp_path)
    weight, bias, shift = (a.astype(np.float64) for a in (*replica.params.arrays, *replica._frozen))
    x, y = reference_batch((FEATURES,), 10, ITEMS)
    assert replica.grid is not None
    differences = loss_differences(
        lambda: reference_loss((weight, bias, shift), x, y),
        [weight, bias],
        reference_seeds(4),
        epsilon=replica.grid.radius(EPSILON),
    )
    reference = Reference(items=ITEMS, epsilon=EPSILON, differences=tuple(map(float, differences)))
    change_manifest(tmp_path, reference=reference)
    return tmp_path


def coarse(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every forward round its loss to a few bits, as a coarse arithmetic's sums would."""
    exact = OnnxForward.evaluate

    def evaluate(self: OnnxForward, *args: Any, **named: Any) -> tuple[float, int]:
        loss, correct = exact(self, *args, **named)
        return float(np.round(loss * 2**bits) / 2**bits), correct

    monkeypatch.setattr(OnnxForward, "evaluate", evaluate)


def measured(folder: Path, **named: Any) -> ForwardArithmetic:
    return measure_arithmetic(load_replica(folder), read_manifest(folder), **named)


@pytest.mark.parametrize("micro_batch", [None, 1, 3])
def test_an_honest_forward_passes_and_the_weights_stay(
    folder: Path, micro_batch: int | None
) -> None:
    replica, manifest = load_replica(folder), read_manifest(folder)

    found = measure_arithmetic(replica, manifest, micro_batch=micro_batch)

    found.check()
    assert found.library == f"onnxruntime {onnxruntime.__version__}"
    assert found.providers == ("CPUExecutionProvider",)
    assert not found.bfloat16_products
    noise = found.scalar_noise
    assert (noise.directions, noise.items, noise.repeat_difference) == (4, ITEMS, 0.0)
    assert noise.relative_rms is not None
    assert noise.relative_rms < 1e-2
    replica.invalidate_digest()
    assert replica.digest().hex() == manifest.digest


@pytest.mark.parametrize(("bits", "is_refused"), [(8, True), (10, True), (24, False)])
def test_a_planted_lossy_forward_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, bits: int, is_refused: bool
) -> None:
    coarse(bits, monkeypatch)

    found = measured(folder)

    assert ((found.scalar_noise.relative_rms or 0.0) > MAX_NOISE) == is_refused
    if is_refused:
        with pytest.raises(PrecisionError, match=r"at most 10% .* onnxruntime"):
            found.check()
    else:
        found.check()


def test_a_forward_that_overflows_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnnxForward, "evaluate", lambda *_, **__: (float("inf"), 0))
    with pytest.raises(PrecisionError, match="where a float64 forward's is finite"):
        measured(folder)


def test_a_client_does_not_join_with_a_lossy_forward(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(config=train_config("zowarmup"), run_id=1, samples=ITEMS)
    trainer = OnnxTrainer(folder, own=batch(ITEMS, FEATURES))
    trainer.join(plan, 0)
    assert trainer.arithmetic is not None
    assert "CPUExecutionProvider; scalars are within " in trainer.arithmetic.summary

    coarse(8, monkeypatch)
    with pytest.raises(PrecisionError):
        trainer.join(plan, 0)


def test_an_export_without_reference_says_so_and_is_used(tmp_path: Path) -> None:
    found = measured(linear_folder(tmp_path))
    found.check()
    assert found.scalar_noise.relative_rms is None
    assert "export it again" in (found.scalar_noise.reason or "")
    assert "scalars not compared" in found.summary


def test_weights_that_moved_are_no_ground_to_compare_on(folder: Path) -> None:
    replica = load_replica(folder)
    replica.params.arrays[0][...] *= 0.5
    replica.invalidate_digest()
    with pytest.raises(ValueError, match="exported weights"):
        measure_arithmetic(replica, read_manifest(folder))


def test_the_session_is_asked_and_nothing_assumed(folder: Path) -> None:
    """GIVEN a session with bfloat16 products on, THEN that is what is reported."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(BFLOAT16_OPTION, "1")
    session = onnxruntime.InferenceSession(
        folder / GRAPH_FILE, options, providers=["CPUExecutionProvider"]
    )
    assert read_session(session).bfloat16_products
    plain = onnxruntime.InferenceSession(folder / GRAPH_FILE, providers=["CPUExecutionProvider"])
    assert not read_session(plain).bfloat16_products


# the rows: github.com/torvalds/linux, Documentation/arch/arm64/elf_hwcaps.rst
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Features\t: fp asimd sve sme smei16i64 sme2\n", True),
        ("Features\t: fp asimd smei16i64\n", False),
        ("flags\t\t: fpu sme\n", False),  # AMD's memory encryption
        ("", False),
    ],
)
def test_sme_is_a_word_of_arms_features(tmp_path: Path, text: str, found: bool) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert has_sme(tmp_path / "cpuinfo") is found
    assert not has_sme(tmp_path / "none")


@pytest.mark.parametrize(
    ("before", "found"), [(b"", True), (b"x" * ((1 << 20) - 4), True), (None, False)]
)
def test_kleidiai_is_found_across_blocks(tmp_path: Path, before: bytes | None, found: bool) -> None:
    library = tmp_path / "library.so"
    library.write_bytes(b"nothing" if before is None else before + b"ArmKleidiAI")
    assert _has_kleidiai(library) is found


def test_an_export_holds_the_scalars_of_a_float64_forward(tmp_path: Path) -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3))
    grid = snap_(module)
    example = torch.randn(2, 3, 4), torch.arange(2)

    manifest = export_model(module, tmp_path, example=example, name="small", grid=grid)

    reference = manifest.reference
    assert reference is not None
    assert reference == (read_manifest(tmp_path).reference)
    x, y = (torch.from_numpy(part) for part in reference_batch((3, 4), 3, reference.items))
    replica = Replica(module.eval())
    ours = loss_differences(
        partial(replica.mean_loss, x, y),
        module,
        reference.seeds,
        epsilon=reference.epsilon,
        grid=grid,
    )
    noise, scale = relative_noise(ours.tolist(), reference.differences)
    assert noise is not None
    assert noise < 1e-2
    assert scale > 0.0
    measured(tmp_path).check()


def test_an_export_off_the_grid_has_a_reason_in_place_of_scalars(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    example = torch.randn(2, 12), torch.arange(2)
    reference = export_model(module, tmp_path, example=example, name="plain").reference
    assert reference is not None
    assert reference.differences == ()
    assert "not on the grid" in str(reference.reason)
    assert "not on the grid" in str(measured(tmp_path).scalar_noise.reason)
