"""scikit-learn's digits: 1,797 images of 8x8 pixels that need no download; the default data set."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from zo_core.data.dataset import Dataset, LabelledImages, standardised
from zo_core.stream import Purpose, random_permutation

TEST_SHARE: Final = 0.2
TEST_SPLIT_SEED: Final = (
    0xD161757E57  # never the run's seed: every run is tested on the same images
)


def digits() -> Dataset:
    """Load the digits as tensors; see :func:`digit_arrays`."""
    return standardised("digits", *digit_arrays())


def digit_arrays() -> tuple[LabelledImages, LabelledImages]:
    """Load the digits with a fixed test split: 20 % of every class, by a constant seed.

    Returns:
        Training and test split, grey levels 0 .. 16 of shape (items, 1, 8, 8); no torch is needed.

    Raises:
        ImportError: scikit-learn is not installed; the message names the extra that brings it.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError('scikit-learn is not installed: pip install -e ".[bench]"') from error
    raw = load_digits()
    images = raw.images.astype(np.uint8)[:, None]  # grey levels 0 .. 16
    labels = raw.target.astype(np.int64)
    is_test = stratified_mask(labels, TEST_SHARE, TEST_SPLIT_SEED)
    return (images[~is_test], labels[~is_test]), (images[is_test], labels[is_test])


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
    for label in range(int(labels.max()) + 1):
        members = np.flatnonzero(labels == label)
        order = random_permutation(seed, Purpose.SHUFFLE, len(members), a=label)
        mask[members[order[: round(share * len(members))]]] = True
    return mask
