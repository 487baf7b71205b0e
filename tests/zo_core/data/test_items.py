"""One contract for items and labels: every loader and both back ends hold to it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zo_core.algorithms import train_config
from zo_core.data import Dataset, Split, load_dataset
from zo_core.data.dataset import standardised
from zo_core.federation.protocol.plan import Plan
from zo_core.federation.protocol.trainers import OnnxTrainer, TorchTrainer, load_shard
from zo_core.loss.items import DataError, require_items

CLASSES, SHAPE = 10, (1, 8, 8)
X, Y = np.zeros((3, *SHAPE), np.float32), np.array([0, 1, 9])


def saved(folder: Path, x: Any, y: Any) -> Path:
    np.savez(folder / "own.npz", x=x, y=y)
    return folder / "own.npz"


WRONG_FILES: dict[str, tuple[Any, Any, str]] = {
    "half a class": (X, np.array([0, 0.9, 1]), "whole number of a class, got 0.9 at item 1"),
    "below 0": (X, np.array([0, -1, 1]), r"labels in \[0, 2\), got -1 to 1"),
    "one short": (X, np.array([0, 1]), "3 items and labels of shape"),
    "one-hot": (X, np.eye(10)[:3], "argmax"),
    "column": (X, Y[:, None], "ravel"),
    "words": (X, np.array(["a", "b", "c"]), "one label per item, got <U1"),
    "text for images": (np.array(["a", "b", "c"]), Y, "x must be real numbers"),
    "complex": (X.astype(complex), Y, "x must be real numbers"),
    "not a number": (np.full_like(X, np.nan), Y, "nan in item 0"),
    "infinite as float32": (np.full(X.shape, 1e300), Y, "inf in item 0"),
    "empty": (X[:0], Y[:0], "at least one item"),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_own_data_that_is_none_is_refused_as_it_is_read(tmp_path: Path, case: str) -> None:
    x, y, words = WRONG_FILES[case]
    path = saved(tmp_path, x, y)
    with pytest.raises(DataError, match=words) as error:
        load_shard(path)
    assert str(path) in str(error.value)


def test_a_file_of_another_kind_is_named_with_the_way_to_write_one(tmp_path: Path) -> None:
    for name, content in (("a.npz", b"text"), ("b.npz", b""), ("c.npz", b"PK\x03\x04cut")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"{name} must be an \.npz file .* numpy\.savez"):
            load_shard(tmp_path / name)
    np.save(tmp_path / "d.npy", X)
    np.savez(tmp_path / "e.npz", images=X, labels=Y)
    for name in ("d.npy", "e.npz"):
        with pytest.raises(DataError, match="arrays x and y"):
            load_shard(tmp_path / name)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float64, bool])
def test_whole_labels_and_real_items_of_any_type_are_read(tmp_path: Path, dtype: Any) -> None:
    x, y = load_shard(saved(tmp_path, X.astype(dtype), Y.astype(np.float64)))
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    assert y.tolist() == Y.tolist()


WRONG_FOR_THE_RUN: dict[str, tuple[Any, Any, str]] = {
    "channels last": (np.zeros((3, 8, 8, 1), np.float32), Y, "channels first"),
    "size": (np.zeros((3, 1, 9, 9), np.float32), Y, r"of shape \(1, 8, 8\), got \(1, 9, 9\)"),
    "class": (X, np.array([0, 1, 11]), r"labels in \[0, 10\), got 0 to 11"),
    "from 1": (X, np.array([1, 2, 10]), "subtract 1"),
}


@pytest.fixture(scope="module")
def plan() -> Plan:
    config = train_config(clients=4, rounds=2, pivot=1, high_share=0.5, warmup_cohort=2)
    return Plan(config, run_id=1, samples=100)


@pytest.mark.parametrize("case", WRONG_FOR_THE_RUN)
def test_both_back_ends_refuse_the_same_data_when_the_run_is_known(
    tmp_path: Path, plan: Plan, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, words = WRONG_FOR_THE_RUN[case]
    own = load_shard(saved(tmp_path, x, y))
    with pytest.raises(DataError, match=words) as torch_says:
        TorchTrainer(own=own).join(plan, 0)
    monkeypatch.setattr("zo_core.edge.load.load_replica", lambda *_, **__: None)
    monkeypatch.setattr("zo_core.edge.manifest.read_manifest", lambda _: _Manifest())
    with pytest.raises(DataError, match=words) as onnx_says:
        OnnxTrainer(tmp_path, own=own).join(plan, 0)
    assert str(torch_says.value) == str(onnx_says.value)


class _Manifest:
    input_shape, num_classes = SHAPE, CLASSES


def cifar(folder: Path, labels: list[int], level: int | None = None) -> Path:
    (folder / "cifar-10-batches-py").mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    if level is not None:
        pixels[:, 1024:2048] = level
    batch = {"data": pixels, "labels": labels}
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (folder / "cifar-10-batches-py" / name).write_bytes(pickle.dumps(batch))
    return folder


@pytest.mark.parametrize(
    ("labels", "level", "words"),
    [
        ([1, 2, 10], None, r"training split of cifar10 must have labels in \[0, 10\).*subtract 1"),
        ([0, -1, 2], None, "got -1 to 2"),
        ([0, 1, 2], 7, "channel 1 of cifar10 is 7 in all training images"),
    ],
)
def test_files_that_are_not_verified_are_held_to_the_contract(
    tmp_path: Path, labels: list[int], level: int | None, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        load_dataset("cifar10", data_dir=cifar(tmp_path, labels, level), verify=False)


def test_a_label_file_that_is_one_short_is_named() -> None:
    images = np.arange(4 * 16, dtype=np.uint8).reshape(4, 1, 4, 4)
    labels = np.array([0, 1, 2, 3])
    with pytest.raises(DataError, match="test split of idx must have one label per item"):
        standardised("idx", (images, labels), (images, labels[:-1]), num_classes=10)


def test_a_data_set_of_ones_own_is_held_to_it_too() -> None:
    good = Split(x=torch.zeros(2, 1, 2, 2), y=torch.tensor([0, 1]))
    for wrong in (
        Split(x=torch.zeros(2, 1, 2, 2), y=torch.tensor([0, 2])),
        Split(x=torch.zeros(2, 1, 2, 2), y=torch.tensor([0, 1], dtype=torch.int32)),
        Split(x=torch.full((2, 1, 2, 2), torch.inf), y=torch.tensor([0, 1])),
        Split(x=torch.zeros(2, 1, 3, 3), y=torch.tensor([0, 1])),
    ):
        with pytest.raises(DataError, match="test split of mine must"):
            Dataset(name="mine", train=good, test=wrong, num_classes=2)


def test_what_can_be_trained_on_passes() -> None:
    require_items(X, Y, num_classes=CLASSES, where="here", shape=SHAPE)
    require_items(torch.from_numpy(X), torch.from_numpy(Y), num_classes=CLASSES, where="here")
