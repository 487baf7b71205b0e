"""Images made from the stream, for tests and for measurements that need a shape and no data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from zo_core.data.dataset import Dataset, Split
from zo_core.directions import gaussian
from zo_core.philox import Purpose, random_permutation

if TYPE_CHECKING:
    import torch

SEED: Final = 0x5EED
_CENTRES, _TRAIN, _TEST = range(3)  # numbers of the stream's tensors


def synthetic_blobs(
    *,
    train_items: int = 2000,
    test_items: int = 500,
    num_classes: int = 10,
    channels: int = 1,
    image_size: int = 8,
    noise: float = 2.0,
    seed: int = SEED,
) -> Dataset:
    """Make Gaussian blobs in the shape of images: one random image a class, plus noise.

    Args:
        train_items: size of the training split; classes are balanced to within one item.
        test_items: size of the test split.
        num_classes: number of blobs.
        channels: channels of an image.
        image_size: height and width, pixels.
        noise: standard deviation of the noise, where the class images' is 1.
        seed: in [0, 2^64).
    """
    import torch

    shape = (channels, image_size, image_size)
    centres = _gaussian(seed, _CENTRES, (num_classes, *shape))

    def split(tensor_index: int, items: int) -> Split:
        order = random_permutation(seed, Purpose.SHUFFLE, items, a=tensor_index)
        y = torch.from_numpy(order % num_classes)
        x = _gaussian(seed, tensor_index, (items, *shape)).mul_(noise).add_(centres[y])
        return Split(x=x, y=y)

    return Dataset(
        name="synthetic",
        train=split(_TRAIN, train_items),
        test=split(_TEST, test_items),
        num_classes=num_classes,
    )


def _gaussian(seed: int, tensor_index: int, shape: tuple[int, ...]) -> torch.Tensor:
    import torch

    values = gaussian(seed, tensor_index, int(np.prod(shape)))
    return torch.from_numpy(values.astype(np.float32).reshape(shape))
