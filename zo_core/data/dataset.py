"""What a data set is: two splits of images and labels in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # who only asks which slots have resources needs no torch
    import torch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Images with their labels."""

    x: torch.Tensor  # float32, (items, channels, height, width)
    y: torch.Tensor  # int64, (items,), in [0, num_classes)

    def __len__(self) -> int:
        return len(self.y)

    def select(self, indices: npt.NDArray[np.int64]) -> Split:
        """Copy the items of the given indices, in their order."""
        import torch

        where = torch.from_numpy(indices)
        return Split(x=self.x[where], y=self.y[where])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """A training and a test split, fixed before anything is given to clients."""

    name: str  # its key in DATASETS
    train: Split
    test: Split
    num_classes: int  # labels are 0 .. num_classes - 1


def standardised(
    name: str,
    train: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]],
    test: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]],
) -> Dataset:
    """Scale integer images to mean 0 and standard deviation 1 of each training channel.

    The statistics come from exact integer sums, so that the scaled images are the same bits on
    every machine.

    Args:
        name: the data set's name.
        train: images (items, channels, height, width) and labels (items,).
        test: likewise; scaled by the training split's statistics.

    Returns:
        The data set, with as many classes as the largest training label says.
    """
    import torch

    mean, std = _channel_statistics(train[0])
    scaled = [
        Split(x=torch.from_numpy(images).float().sub_(mean).div_(std), y=torch.from_numpy(labels))
        for images, labels in (train, test)
    ]
    num_classes = int(train[1].max()) + 1
    return Dataset(name=name, train=scaled[0], test=scaled[1], num_classes=num_classes)


def _channel_statistics(images: npt.NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each channel, float32, (channels, 1, 1)."""
    import torch

    count = images.size // images.shape[1]
    total = images.sum(axis=(0, 2, 3), dtype=np.int64)
    squares = np.einsum("nchw,nchw->c", images, images, dtype=np.int64, casting="unsafe")
    mean = total / count
    std = np.sqrt(squares / count - mean**2)
    statistics = torch.from_numpy(np.stack([mean, std])).float()
    return statistics[0].view(-1, 1, 1), statistics[1].view(-1, 1, 1)
