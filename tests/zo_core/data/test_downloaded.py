"""Real files, where they lie beside the checkout; skipped, with the reason, where they do not."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from zo_core.data import load_dataset

FASHION_MNIST = Path(__file__).parents[4] / "shared" / "data" / "FashionMNIST" / "raw"


@pytest.fixture
def fashion_folder(tmp_path: Path) -> Path:
    packed = sorted(FASHION_MNIST.glob("*.gz"))
    if not packed:
        pytest.skip("no Fashion-MNIST files in ../shared/data/FashionMNIST/raw")
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in packed:
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return tmp_path


def test_fashion_mnist_is_read_and_scaled(fashion_folder: Path) -> None:
    data = load_dataset("fashion-mnist", data_dir=fashion_folder)
    assert data.train.x.shape == (60_000, 1, 28, 28)
    assert data.test.x.shape == (10_000, 1, 28, 28)
    assert torch.bincount(data.test.y).tolist() == [1000] * 10
    # the widely quoted mean 0.2860 and deviation 0.3530 are where grey level 0 comes from
    assert data.train.x.min().item() == pytest.approx(-0.2860 / 0.3530, abs=1e-3)
    assert data.train.x.max().item() == pytest.approx((1 - 0.2860) / 0.3530, abs=1e-3)


def test_a_damaged_fashion_mnist_file_is_an_error_and_can_be_read_all_the_same(
    fashion_folder: Path,
) -> None:
    labels = fashion_folder / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte"
    content = bytearray(labels.read_bytes())
    content[-1] = (content[-1] + 1) % 10
    labels.write_bytes(content)
    with pytest.raises(ValueError, match="t10k-labels-idx1-ubyte must have md5"):
        load_dataset("fashion-mnist", data_dir=fashion_folder)
    data = load_dataset("fashion-mnist", data_dir=fashion_folder, verify=False)
    assert data.test.y[-1] == content[-1]


def test_cifar10_files_of_ones_own_are_read_without_verification(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    grey = np.arange(4 * 3072, dtype=np.int64).reshape(4, 3072) % 251
    batch = {"data": grey.astype(np.uint8), "labels": [3, 1, 0, 2]}
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcd")}))
    data = load_dataset("cifar10", data_dir=tmp_path, verify=False)
    assert data.train.x.shape == (20, 3, 32, 32)
    assert data.train.x.is_contiguous()
    assert data.test.y.tolist() == [3, 1, 0, 2]
    red = grey[:, :1024]
    expected = (red[1, 5] - red.mean()) / red.std()
    assert data.test.x[1, 0, 0, 5].item() == pytest.approx(expected, rel=1e-5)
