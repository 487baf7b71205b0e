"""What a data set is: two splits of items and labels in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zo_core.loss.byte_items import ByteItems
from zo_core.loss.items import (
    DataError,
    Targets,
    require_items,
    require_sequences,
    require_values,
    targets_of,
)

if TYPE_CHECKING:  # who only asks which slots have resources needs no torch
    import torch

    from zo_core.data.tokens import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaling:
    """What turns bytes into inputs: (x - mean) / std of each channel."""

    mean: npt.NDArray[np.float32]  # (channels, 1, 1)
    std: npt.NDArray[np.float32]  # likewise

    def of(self, x: torch.Tensor) -> torch.Tensor:
        """Make float32 images of bytes; a copy."""
        import torch

        mean, std = (torch.from_numpy(part).to(x.device) for part in (self.mean, self.std))
        return x.float().sub_(mean).div_(std)

    def of_array(self, x: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Make the same float32 images without torch."""
        return np.asarray(self.as_bytes(x))

    def as_bytes(self, x: npt.NDArray[np.uint8]) -> ByteItems:
        """Leave the images bytes; the same values, scaled when they are needed."""
        return ByteItems(x, self.mean, self.std)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Items with a label each, sequences with their next tokens, or items with numbers."""

    # images: float32, (items, channels, height, width); uint8 where it has a scaling
    # token ids: int64, (items, positions); anything else: float32, (items, ...)
    x: torch.Tensor
    # labels: int64, in [0, num_classes): (items,), or of sequences (items, positions)
    # numbers: float32, (items,) or (items, ...)
    y: torch.Tensor
    scaling: Scaling | None = None  # still to be done, for a data set that is large as bytes

    def __len__(self) -> int:
        return len(self.y)

    def select(self, indices: npt.NDArray[np.int64]) -> Split:
        """Copy the items of the given indices, in their order."""
        import torch

        where = torch.from_numpy(indices)
        return replace(self, x=self.x[where], y=self.y[where])

    def slice(self, start: int, stop: int) -> Split:
        """View consecutive items."""
        return replace(self, x=self.x[start:stop], y=self.y[start:stop])

    def scaled(self) -> Split:
        """Return the items as float32, the split itself where they are."""
        return self if self.scaling is None else Split(x=self.scaling.of(self.x), y=self.y)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Texts:
    """What the sequences of a data set say."""

    tokenizer: Tokenizer
    task_names: tuple[str, ...]
    train_tasks: torch.Tensor  # (training items,), the number of each item's task
    test_tasks: torch.Tensor  # (test items,)
    test_prompts: tuple[str, ...]
    test_answers: tuple[tuple[str, ...], ...]  # accepted ones of each test item
    pretraining: Split  # other tasks, every token labelled
    left_out: int  # items that are longer than the positions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """A training and a test split, fixed before anything is given to clients."""

    name: str  # its key in DATASETS, or what load_dataset was given
    train: Split
    test: Split
    num_classes: int  # labels are 0 .. num_classes - 1; of numbers, how many an item has
    texts: Texts | None = None  # of sequences that say something
    # the client that holds each training item, 0 .. clients - 1, (items,); None for a draw
    clients: npt.NDArray[np.int64] | None = None

    @property
    def targets(self) -> Targets:
        """What a model learns of each item."""
        return targets_of(self.train.y)

    @property
    def groups(self) -> torch.Tensor:
        """What clients differ in: each training item's label, or its task; else nothing."""
        if self.texts is not None:
            return self.texts.train_tasks
        return (
            self.train.y
            if self.targets == "classes"
            else self.train.y.new_zeros(len(self.train)).long()
        )

    def __post_init__(self) -> None:
        shape = tuple(self.train.x.shape[1:])
        for split, name in ((self.train, "training"), (self.test, "test")):
            self._check(split, f"the {name} split of {self.name}", shape)

    def _check(self, split: Split, where: str, shape: tuple[int, ...]) -> None:
        match self.targets:
            case "classes":
                classes = self.num_classes
                require_items(split.x, split.y, num_classes=classes, where=where, shape=shape)
            case "tokens":
                require_sequences(split.x, split.y, num_classes=self.num_classes, where=where)
            case "values":
                require_values(split.x, split.y, where=where)


LabelledImages = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def standardised(
    name: str,
    train: LabelledImages,
    test: LabelledImages,
    *,
    num_classes: int,
    keep_bytes: bool = False,
) -> Dataset:
    """Scale integer images to mean 0 and standard deviation 1 of each training channel.

    The statistics come from exact integer sums, so that the scaled images are the same bits on
    every machine.

    Args:
        name: the data set's name.
        train: images (items, channels, height, width) and labels (items,).
        test: likewise; scaled by the training split's statistics.
        num_classes: labels are 0 .. num_classes - 1.
        keep_bytes: leave the training images bytes, a quarter of the memory; they are scaled as
            they are handed out, to the same bits.

    Returns:
        The data set.

    Raises:
        DataError: images or labels that cannot be trained on, see :mod:`zo_core.loss.items`.
    """
    import torch

    require_contrast(name, train[0])
    scaling = channel_scaling(train[0])
    splits = [
        Split(x=torch.from_numpy(images), y=torch.from_numpy(labels), scaling=scaling)
        for images, labels in (train, test)
    ]
    return Dataset(
        name=name,
        train=splits[0] if keep_bytes else splits[0].scaled(),
        test=splits[1].scaled(),
        num_classes=num_classes,
    )


def require_contrast(name: str, images: npt.NDArray[np.uint8]) -> None:
    """Refuse a channel of one grey level: to scale it would be to divide by 0."""
    for channel in range(images.shape[1]):
        level = images[:, channel].max(initial=0)
        if images[:, channel].min(initial=255) >= level:
            raise DataError(
                f"channel {channel} of {name} is {level} in all training images: there is nothing "
                "to learn from it, and it cannot be scaled; leave the channel out"
            )


def channel_scaling(images: npt.NDArray[np.uint8]) -> Scaling:
    """Find mean and standard deviation of each channel."""
    count = images.size // images.shape[1]
    total = images.sum(axis=(0, 2, 3), dtype=np.int64)
    squares = np.einsum("nchw,nchw->c", images, images, dtype=np.int64, casting="unsafe")
    mean = total / count
    std = np.sqrt(squares / count - mean**2)
    return Scaling(
        mean=mean.astype(np.float32)[:, None, None], std=std.astype(np.float32)[:, None, None]
    )
