"""Laws of the data sets that need no files, and the errors of those that do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from zo_core.data import DATASETS, Dataset, load_dataset, synthetic_blobs


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_a_data_set_is_float_images_with_int_labels_and_is_the_same_each_time(name: str) -> None:
    first, again = load_dataset(name), load_dataset(name)
    for one, two in ((first.train, again.train), (first.test, again.test)):
        assert one.x.dtype == torch.float32
        assert one.y.dtype == torch.int64
        assert one.x.shape == (len(one), 1, 8, 8)
        assert torch.equal(one.y.unique(), torch.arange(first.num_classes))
        assert torch.equal(one.x, two.x)
        assert torch.equal(one.y, two.y)


def test_digits_test_split_is_a_fifth_of_every_class() -> None:
    digits = load_dataset("digits")
    assert (len(digits.train), len(digits.test)) == (1438, 359)
    test, train = (torch.bincount(split.y) for split in (digits.test, digits.train))
    assert torch.equal(test, ((test + train) * 0.2).round().long())


def test_digits_splits_are_the_data_and_share_no_item() -> None:
    from sklearn.datasets import load_digits

    digits, raw = load_dataset("digits"), load_digits()
    images = torch.cat([digits.train.x, digits.test.x]).flatten(1)
    grey = (images - images.min()) / (images.max() - images.min()) * 16
    rows = sorted(map(tuple, grey.round().int().tolist()))
    assert rows == sorted(map(tuple, raw.data.astype(int).tolist()))


def test_unseen_writers_are_the_files_last_block() -> None:
    """scikit-learn has the digits writer by writer; the split must not mix them."""
    from sklearn.datasets import load_digits

    from zo_core.data.digits import writer_arrays

    images, labels = load_digits(return_X_y=True)
    (train_x, train_y), (test_x, test_y) = writer_arrays()
    assert (len(train_y), len(test_y)) == (1438, 359)
    assert np.array_equal(np.concatenate([train_x, test_x]).reshape(1797, 64), images)
    assert np.array_equal(np.concatenate([train_y, test_y]), labels)
    assert set(test_y.tolist()) == set(range(10))


def test_unseen_writers_are_harder_than_known_ones() -> None:
    def accuracy(name: str) -> float:
        data = load_dataset(name)
        train, test = data.train.x.flatten(1), data.test.x.flatten(1)
        targets = torch.nn.functional.one_hot(data.train.y, 10).float()
        scores = test @ torch.linalg.lstsq(train, targets, driver="gelsd").solution
        return float((scores.argmax(dim=1) == data.test.y).float().mean())

    assert accuracy("digits-writers") < accuracy("digits") - 0.02


def test_digits_are_scaled_by_the_training_splits_statistics() -> None:
    digits = load_dataset("digits")
    assert digits.train.x.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert digits.train.x.std(correction=0).item() == pytest.approx(1.0, abs=1e-5)
    assert 0.0 < abs(digits.test.x.mean().item()) < 0.05


def _accuracy_of_nearest_mean(data: Dataset) -> float:
    means = torch.stack([data.train.x[data.train.y == c].mean(0) for c in range(data.num_classes)])
    nearest = torch.cdist(data.test.x.flatten(1), means.flatten(1)).argmin(1)
    return float((nearest == data.test.y).float().mean())


def test_synthetic_blobs_can_be_told_apart_and_take_any_shape() -> None:
    data = synthetic_blobs(train_items=300, test_items=60, num_classes=3, channels=3, image_size=16)
    assert data.train.x.shape == (300, 3, 16, 16)
    assert torch.bincount(data.train.y).tolist() == [100, 100, 100]
    assert _accuracy_of_nearest_mean(data) == 1.0
    assert _accuracy_of_nearest_mean(load_dataset("synthetic")) > 0.9
    noisy = synthetic_blobs(noise=50.0)
    assert _accuracy_of_nearest_mean(noisy) < 0.5


def test_synthetic_noise_has_its_deviation() -> None:
    data = synthetic_blobs(num_classes=1, noise=2.0)
    assert data.train.x.std(dim=0).mean().item() == pytest.approx(2.0, rel=0.02)


def test_an_unknown_data_set_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'mnist'; known: " + ", ".join(DATASETS)):
        load_dataset("mnist")


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_files_that_are_not_there_are_asked_for_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{name} needs a data folder: give data_dir"):
        load_dataset(name)
    expected = {"fashion-mnist": "FashionMNIST/raw/train-images", "cifar10": "data_batch_1"}[name]
    with pytest.raises(FileNotFoundError, match=expected):
        load_dataset(name, data_dir=tmp_path)


def test_a_damaged_file_is_named_before_it_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]:
        (folder / name).write_bytes(b"not a pickle")
    with pytest.raises(ValueError, match=r"data_batch_1 must have md5 c99cafc1.*verify=False"):
        load_dataset("cifar10", data_dir=tmp_path)


def test_scaling_is_exact_on_known_images() -> None:
    from zo_core.data.dataset import standardised

    images = np.array([[0, 200], [100, 100]], dtype=np.uint8).reshape(2, 2, 1, 1)
    labels = np.array([0, 1])
    data = standardised("known", (images, labels), (images, labels), num_classes=2)
    assert data.train.x.flatten(1).tolist() == [[-1.0, 1.0], [1.0, -1.0]]
    assert data.num_classes == 2


@pytest.mark.process
def test_digits_cost_no_import_of_scikit_learn() -> None:
    code = "import sys; from zo_core.data.digits import digit_arrays; digit_arrays();"
    heavy = "print({'sklearn', 'scipy', 'torch'} & {*sys.modules})"
    run = [sys.executable, "-c", code + heavy]
    assert subprocess.run(run, check=True, capture_output=True, text=True).stdout == "set()\n"
