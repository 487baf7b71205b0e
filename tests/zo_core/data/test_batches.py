"""Pickled image batches: read whatever NumPy or Python wrote them, run nothing, tell damage."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zo_core.data import dirichlet_partition, federate, load_dataset
from zo_core.data.batches import read_batch
from zo_core.data.imagenet32 import TEST_FILES, TRAIN_FILES


def pixels(items: int, first: int = 0) -> np.ndarray[Any, Any]:
    grey = np.random.default_rng(first).integers(0, 256, size=(items, 3072))
    return grey.astype(np.uint8)


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_batch_is_read_in_every_protocol(protocol: int, as_bytes: bool, tmp_path: Path) -> None:
    data, labels = pixels(3), [5, 0, 9]
    batch: dict[Any, Any] = {"data": data, "labels": labels, "mean": data.mean(axis=0)}
    if as_bytes:
        batch = {key.encode(): value for key, value in batch.items()}
    (tmp_path / "batch").write_bytes(pickle.dumps(batch, protocol=protocol))
    images, numbers = read_batch(tmp_path / "batch")
    assert np.array_equal(images.reshape(3, 3072), data)
    assert numbers.tolist() == labels


def test_a_batch_of_python_2_is_read(tmp_path: Path) -> None:
    # protocol 2 with byte strings, as the official files are; NumPy's old module names
    text = pickle.dumps({"data": pixels(2), "labels": [1, 2]}, protocol=2)
    (tmp_path / "batch").write_bytes(
        text.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    )
    assert read_batch(tmp_path / "batch")[1].tolist() == [1, 2]


@pytest.mark.parametrize(
    "content",
    [
        {"data": Call(os.system, "touch ran"), "labels": [1]},
        {"data": Call(eval, "open('ran', 'w')"), "labels": [1]},
        {"data": pixels(1), "labels": [1], "x": Call(__import__, "os")},
        {"data": Call(np.load, "ran"), "labels": [1]},
    ],
)
def test_a_file_cannot_make_the_reader_run_anything(
    content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "batch").write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match="is not a batch of images, or is damaged: it asks for"):
        read_batch(tmp_path / "batch")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, -1])
def test_a_file_that_is_cut_is_damaged(kept: float, tmp_path: Path) -> None:
    whole = pickle.dumps({"data": pixels(2), "labels": [1, 2]})
    end = int(kept * len(whole)) if isinstance(kept, float) else int(kept)
    (tmp_path / "batch").write_bytes(whole[:end])
    with pytest.raises(ValueError, match="batch is not a batch of images, or is damaged"):
        read_batch(tmp_path / "batch")


@pytest.mark.parametrize(
    "content",
    [
        {"data": pixels(2), "labels": [1]},
        {"data": pixels(2).astype(np.int16), "labels": [1, 2]},
        {"data": pixels(2)[:, :100], "labels": [1, 2]},
    ],
)
def test_a_batch_of_another_shape_is_an_error(content: Any, tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match="must hold uint8 data of shape"):
        read_batch(tmp_path / "batch")


@pytest.fixture
def imagenet_folder(tmp_path: Path) -> Path:
    """Three images a file, in the official format: labels from 1."""
    for index, name in enumerate([*TRAIN_FILES, *TEST_FILES]):
        data = pixels(3, index)
        labels = [1, 1000, index + 2]
        batch = {"data": data, "labels": labels, "mean": data.mean(axis=0)}
        (tmp_path / name).write_bytes(pickle.dumps(batch, protocol=2))
    return tmp_path


def test_imagenet32_is_read_in_file_order_with_labels_from_0(imagenet_folder: Path) -> None:
    data = load_dataset("imagenet32", data_dir=imagenet_folder, verify=False)
    assert (data.num_classes, len(data.train), len(data.test)) == (1000, 30, 3)
    assert data.train.y.tolist()[:6] == [0, 999, 1, 0, 999, 2]
    assert data.train.x.dtype == torch.uint8
    assert torch.equal(data.train.x[3:6].reshape(3, 3072), torch.from_numpy(pixels(3, 1)))


def test_bytes_are_scaled_as_they_are_handed_out(imagenet_folder: Path) -> None:
    data = load_dataset("imagenet32", data_dir=imagenet_folder, verify=False)
    shards = dirichlet_partition(
        data.train.y.numpy(), clients=3, alpha=1.0, holdout_share=0.2, run_seed=0
    )
    held = federate(data, shards)
    parts = [held.client(slot).x for slot in range(3)] + [held.holdout(range(3)).x]
    everything = torch.cat(parts).double()
    assert all(part.dtype == torch.float32 for part in [*parts, held.test.x])
    assert everything.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0.0] * 3, abs=1e-6)
    assert everything.std(dim=(0, 2, 3), correction=0).tolist() == pytest.approx([1.0] * 3)


def test_what_is_wrong_with_imagenet32_is_told(imagenet_folder: Path) -> None:
    with pytest.raises(ValueError, match="must have 1,281,167 and 50,000 images, got 30 and 3"):
        load_dataset("imagenet32", data_dir=imagenet_folder)
    batch = {"data": pixels(1), "labels": [0]}
    (imagenet_folder / "val_data").write_bytes(pickle.dumps(batch))
    with pytest.raises(ValueError, match="val_data must have labels from 1 to 1000"):
        load_dataset("imagenet32", data_dir=imagenet_folder, verify=False)
    (imagenet_folder / "train_data_batch_7").unlink()
    with pytest.raises(FileNotFoundError, match="put train_data_batch_7 there"):
        load_dataset("imagenet32", data_dir=imagenet_folder)
