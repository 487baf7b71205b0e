"""scikit-learn's digits: 1,797 images of 8x8 pixels that need no download; the default data set."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from zo_core.data.dataset import Dataset, LabelledImages, standardised
from zo_core.philox import Purpose, random_permutation

CLASSES: Final = 10
TEST_SHARE: Final = 0.2
TEST_SPLIT_SEED: Final = (
    0xD161757E57  # never the run's seed: every run is tested on the same images
)


def digits() -> Dataset:
    """Load the digits as tensors; see :func:`digit_arrays`."""
    return standardised("digits", *digit_arrays(), num_classes=CLASSES)


def digits_writers() -> Dataset:
    """Load the digits with unseen writers in the test split; see :func:`writer_arrays`."""
    return standardised("digits-writers", *writer_arrays(), num_classes=CLASSES)


def digit_arrays() -> tuple[LabelledImages, LabelledImages]:
    """Load the digits with a fixed test split: 20 % of every class, by a constant seed.

    Each writer's digits are in both splits.

    Returns:
        Training and test split, grey levels 0 .. 16 of shape (items, 1, 8, 8); no torch is needed.

    Raises:
        ImportError: scikit-learn is not installed; the message names the extra that brings it.
    """
    labels = _images_in_order()[1]
    return _split(stratified_mask(labels, TEST_SHARE, TEST_SPLIT_SEED))


def writer_arrays() -> tuple[LabelledImages, LabelledImages]:
    """Load the digits with the file's last 20 % as test split: one block, so other writers' digits.

    The file has the digits writer by writer, without saying where one ends, so the writer at the
    border may be in both splits.  Result and errors as in :func:`digit_arrays`.
    """
    items = len(_images_in_order()[1])
    return _split(np.arange(items) >= items - round(TEST_SHARE * items))


# Loaders that need no torch, by data set.
DIGIT_ARRAYS: Final = {"digits": digit_arrays, "digits-writers": writer_arrays}


def _images_in_order() -> LabelledImages:
    rows = np.loadtxt(_digits_file(), delimiter=",", dtype=np.float64)
    images = rows[:, :-1].astype(np.uint8).reshape(-1, 1, 8, 8)  # grey levels 0 .. 16
    return images, rows[:, -1].astype(np.int64)


def _split(is_test: npt.NDArray[np.bool_]) -> tuple[LabelledImages, LabelledImages]:
    images, labels = _images_in_order()
    return (images[~is_test], labels[~is_test]), (images[is_test], labels[is_test])


def _digits_file() -> Path:
    """Find the file that ``load_digits`` reads; to import scikit-learn for it takes seconds."""
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise ImportError('scikit-learn is not installed: pip install "zobench[bench]"')
    return Path(package.origin).with_name("datasets") / "data" / "digits.csv.gz"


def stratified_mask(
    labels: npt.NDArray[np.int64], share: float, seed: int
) -> npt.NDArray[np.bool_]:
    """Choose round(share * count) items of every class.

    Args:
        labels: (items,), class numbers.
        share: share of each class, in [0, 1].
        seed: in [0, 2^64); item order from the stream, purpose SHUFFLE, a = class.

    Returns:
        Mask of shape (items,), true where an item is chosen.
    """
    mask = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels).tolist():
        members = np.flatnonzero(labels == label)
        order = random_permutation(seed, Purpose.SHUFFLE, len(members), a=label)
        mask[members[order[: round(share * len(members))]]] = True
    return mask
