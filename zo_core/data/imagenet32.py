"""Downsampled ImageNet, 32x32 (Chrabaszcz, Loshchilov, Hutter, "A Downsampled Variant of ImageNet
as an Alternative to the CIFAR Datasets", 2017, arXiv 1707.08819): the official batches' format.

No checksum of the single files is published, so the check is of their number of images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from zo_core.data.batches import IMAGE_SHAPE, read_batch
from zo_core.data.dataset import Dataset, standardised
from zo_core.data.files import Source, folder_of, require_files

CLASSES: Final = 1000
ITEMS: Final = (1_281_167, 50_000)  # training and validation images
TRAIN_FILES: Final = tuple(f"train_data_batch_{i}" for i in range(1, 11))
TEST_FILES: Final = ("val_data",)

Images = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def imagenet32(source: Source) -> Dataset:
    """Load ImageNet32 from ``train_data_batch_1`` to ``_10`` and ``val_data``, labels from 0.

    The training images stay bytes, 3.9 GB, and are scaled as a client's shard is handed out.

    Raises:
        ValueError: no data folder given, or files that are damaged or not the whole set.
        FileNotFoundError: files are missing; the message says which, and where they belong.
    """
    root = prepare_imagenet32(source)
    train, test = (_read(root, names) for names in (TRAIN_FILES, TEST_FILES))
    found = (len(train[1]), len(test[1]))
    if source.verify and found != ITEMS:
        raise ValueError(
            f"imagenet32 in {root} must have {ITEMS[0]:,} and {ITEMS[1]:,} images, got "
            f"{found[0]:,} and {found[1]:,}; put the original files there, or read these with "
            "verify=False (--no-verify)"
        )
    return standardised("imagenet32", train, test, num_classes=CLASSES, keep_bytes=True)


def prepare_imagenet32(source: Source) -> Path:
    """Find ImageNet32's files; return their folder."""
    root = folder_of("imagenet32", source)
    require_files("imagenet32", root, [*TRAIN_FILES, *TEST_FILES], can_download=False)
    return root


def _read(root: Path, names: tuple[str, ...]) -> Images:
    """Read files one after the other into one array; beside it, one file is in memory."""
    images, labels = np.empty((0, *IMAGE_SHAPE), np.uint8), []
    for name in names:
        more, numbers = read_batch(root / name)
        if numbers.size and not (numbers.min() >= 1 and numbers.max() <= CLASSES):
            raise ValueError(f"{root / name} must have labels from 1 to {CLASSES}")
        labels.append(numbers - 1)
        start = len(images)
        images.resize((start + len(more), *IMAGE_SHAPE), refcheck=False)  # grows where it lies
        images[start:] = more
    return images, np.concatenate(labels)
