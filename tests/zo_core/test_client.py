"""The client without torch: it computes the loss that the weights' own memory gives, or refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from linear_export import (
    batch,
    change_graph,
    change_manifest,
    change_weights,
    linear_folder,
    reference_loss,
)

import devices
from zo_core import loss_differences, perturb_
from zo_core.algorithms import build_algorithm, train_config
from zo_core.algorithms.methods.zowarmup_split import SplitStep
from zo_core.algorithms.steps.local import step_items
from zo_core.digest import digest
from zo_core.edge.load import load_replica
from zo_core.edge.manifest import ExportedModelError
from zo_core.edge.onnx_loss import MODES, OnnxForward
from zo_core.federation import Replica
from zo_core.method import ClientData, RoundContext
from zo_core.payloads.core import ScalarUpdate
from zo_core.payloads.scalars import ScalarEncoding

MIB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return linear_folder(tmp_path / "linear")


def state(replica: Replica) -> list[Any]:
    return [*replica.params.arrays, *replica._frozen]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("micro_batch", [None, 1, 4, 100])
def test_the_loss_is_the_weights_loss(folder: Path, mode: str, micro_batch: int | None) -> None:
    replica = load_replica(folder, mode=mode)
    x, y = batch(11)
    expected = reference_loss(state(replica), x, y)
    assert replica.mean_loss(x, y, micro_batch=micro_batch) == pytest.approx(expected, rel=1e-6)


def test_what_is_written_in_place_is_what_the_next_forward_sees(folder: Path) -> None:
    replica = load_replica(folder)
    x, y = batch(11)
    losses = []
    for scale in (0.25, -0.5, 0.25):
        perturb_(replica.params, seed=3, scale=scale)
        losses.append(replica.mean_loss(x, y))
        assert losses[-1] == pytest.approx(reference_loss(state(replica), x, y), rel=1e-6)
    assert len(set(losses)) == 3


def test_correct_items_are_counted_over_all_micro_batches(folder: Path) -> None:
    replica = load_replica(folder)
    x, _ = batch(40)
    weight, bias, shift = state(replica)
    y = (x @ weight + bias + shift).argmax(axis=1)
    y[:7] = (y[:7] + 1) % 10
    assert replica.forward.evaluate(x, y, micro_batch=9)[1] == 33  # type: ignore[union-attr]


@pytest.mark.process
def test_the_client_holds_its_weights_once(tmp_path: Path) -> None:
    """GIVEN 160 MB of weights WHEN a client loads and computes THEN 1.3 times that is used.

    The process's peak before is the baseline, so the file's bytes count if they are held.
    """
    features = 4_000_000
    linear_folder(tmp_path, features=features)
    run = devices.run_isolated("zo_core_children:client_round", str(tmp_path), features)
    assert run.status == "ok", run.error
    assert run.value["torch"] is False
    assert 1.0 < run.value["extra_bytes"] / (40 * features) < 1.3


@pytest.mark.process
def test_a_clients_process_loads_numpy_and_onnxruntime_alone(folder: Path) -> None:
    run = devices.run_isolated("zo_core_children:client_round", str(folder), 12)
    assert run.status == "ok", run.error
    light = {"numpy", "onnxruntime", "zo_core", "zo_core_children", "devices", "psutil"}
    # what a machine's own start-up hooks load, and not the client
    light |= {"sitecustomize", "usercustomize", "certifi"}
    assert set(run.value["packages"]) <= light


def test_the_digest_is_taken_once_and_while_the_session_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[bytes] = []
    is_taken = Event()

    def take_digest(*state: Any, **named: Any) -> bytes:
        taken.append(digest(*state, **named))
        is_taken.set()
        return taken[-1]

    def make_forward(*arguments: Any) -> OnnxForward:
        assert is_taken.wait(timeout=60)  # a digest after this call would never come
        return OnnxForward(*arguments)

    monkeypatch.setattr("zo_core.replica.digest", take_digest)
    monkeypatch.setattr("zo_core.edge.load.OnnxForward", make_forward)
    assert load_replica(folder).digest() == taken[0]
    assert len(taken) == 1


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a weight": (lambda f: change_weights(f, bias=np.ones(10, np.float32)), "digest of the state"),
    "a frozen tensor": (lambda f: change_weights(f, shift=np.ones(10, np.float32)), "digest"),
    "another shape": (lambda f: change_weights(f, bias=np.ones(9, np.float32)), "tensor 'bias'"),
    "another dtype": (lambda f: change_weights(f, bias=np.ones(10)), "tensor 'bias'"),
    "a missing tensor": (lambda f: change_weights(f, bias=None), "tensor 'bias'"),
    "a tensor too many": (lambda f: change_weights(f, more=np.ones(1)), "tensor 'more'"),
    "an exponent": (lambda f: change_manifest(f, exponents=(-20, -20)), "digest of the state"),
    "exponents too few": (lambda f: change_manifest(f, exponents=(-20,)), "exponents"),
    "another graph": (lambda f: (f / "model.onnx").write_bytes(b"ONNX"), "model.onnx: digest"),
    "no graph": (lambda f: (f / "model.onnx").unlink(), "model.onnx: digest"),
    "another input": (lambda f: change_graph(f, "weights.bias", "weights.b"), "input 'weights.b"),
    "another input shape": (lambda f: change_manifest(f, input_shape=(13,)), "input 'x'"),
    "another stream": (lambda f: change_manifest(f, stream="zo-stream/2"), "stream must be"),
    "another grid": (lambda f: change_manifest(f, grid="zo-grid/2"), "grid must be"),
    "another format": (lambda f: change_manifest(f, format="zo-export/9"), "format must be"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "contains no manifest"),
    "a torn manifest": (lambda f: (f / "manifest.json").write_text("{"), "not a manifest of"),
    "an empty manifest": (lambda f: (f / "manifest.json").write_text("[]"), "not a manifest of"),
    "a field too few": (lambda f: without_field(f, "frozen"), "not a manifest of"),
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), "weights.safetensors"),
    "truncated weights": (lambda f: truncate(f / "weights.safetensors"), "truncated"),
}


def without_field(folder: Path, name: str) -> None:
    path = folder / "manifest.json"
    data = json.loads(path.read_text())
    del data[name]
    path.write_text(json.dumps(data))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


@pytest.mark.parametrize("change", CHANGES)
def test_what_does_not_match_is_refused_by_name(folder: Path, change: str) -> None:
    make, words = CHANGES[change]
    make(folder)
    with pytest.raises(ExportedModelError, match=words):
        load_replica(folder)


def test_a_graph_that_is_none_is_refused_even_if_the_manifest_vouches_for_it(folder: Path) -> None:
    from zo_core.edge.manifest import file_digest

    (folder / "model.onnx").write_bytes(b"ONNX")
    change_manifest(folder, graph_digest=file_digest(folder / "model.onnx"))
    with pytest.raises(ExportedModelError, match="not a graph for onnxruntime"):
        load_replica(folder)


BATCHES: dict[str, tuple[Any, Any, str]] = {
    "features": (np.zeros((4, 13), np.float32), np.zeros(4, np.int64), r"of shape \(12,\)"),
    "rank": (np.zeros(12, np.float32), np.zeros(12, np.int64), r"of shape \(12,\), got \(\)"),
    "dtype": (np.zeros((4, 12)), np.zeros(4, np.int64), "must be float32"),
    "no items": (np.zeros((0, 12), np.float32), np.zeros(0, np.int64), "at least one item"),
    "labels' count": (np.zeros((4, 12), np.float32), np.zeros(3, np.int64), "one label per item"),
    "labels' dtype": (np.zeros((4, 12), np.float32), np.zeros(4, np.int32), "of type int64"),
    "a value": (np.full((4, 12), np.nan, np.float32), np.zeros(4, np.int64), "nan in item 0"),
    "a label": (np.zeros((4, 12), np.float32), np.full(4, 10), r"in \[0, 10\)"),
}


@pytest.mark.parametrize("case", BATCHES)
def test_a_batch_of_the_wrong_shape_leaves_the_weights_as_they_were(
    folder: Path, case: str
) -> None:
    replica = load_replica(folder)
    before = replica.digest()
    x, y, words = BATCHES[case]
    with pytest.raises(ValueError, match=words):
        loss_differences(
            lambda: replica.mean_loss(x, y),
            replica.params,
            [1],
            epsilon=1e-3,
            grid=replica.grid,
        )
    replica.invalidate_digest()
    assert replica.digest() == before


def test_an_unknown_mode_lists_the_known(folder: Path) -> None:
    with pytest.raises(ValueError, match="memory, speed"):
        load_replica(folder, mode="fast")


def test_a_replica_of_bare_buffers_says_that_it_has_no_forward() -> None:
    with pytest.raises(ValueError, match="no forward"):
        Replica([np.ones(3, np.float32)]).mean_loss(np.ones((1, 3)), np.zeros(1))


def test_split_directions_are_taken_without_torch(folder: Path) -> None:
    """Each part's scalars are those of its items alone, and the weights are as before."""
    fields = {"splits": 3, "directions": 2, "scalars": "float16", "epsilon": 1e-2}
    fields |= {"zo_step_length": "adaptive"}
    method = build_algorithm(train_config("zowarmup-split", **fields), (0,)).phases[1].method
    assert isinstance(method, SplitStep)
    replica = load_replica(folder)
    x, y = batch(7)
    context = RoundContext(run_seed=1, run_id=1, round_index=120, cohort=(0,), samples=(7,))
    before = replica.digest()
    update = method.client_update(replica, ClientData(slot=0, x=x, y=y), context)
    assert isinstance(update, ScalarUpdate)
    replica.invalidate_digest()
    assert replica.digest() == before
    expected = []
    for part, at in enumerate(step_items(7, 3, run_seed=1, round_index=120, client_id=0)):
        loss = partial(replica.mean_loss, x[at], y[at])
        seeds = method.seeds(context, 0, part)
        kept = {"epsilon": 1e-2, "tau": 0.75, "grid": replica.grid}
        expected += loss_differences(loss, replica.params, seeds, **kept).tolist()
    assert update.differences.tolist() == np.float16(expected).astype(np.float32).tolist()
    assert update.encoding == ScalarEncoding.FLOAT16
    assert update.loss == pytest.approx(replica.mean_loss(x, y), rel=0.1)
