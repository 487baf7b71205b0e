"""Images in a folder for each class, as torchvision's ImageFolder reads them.

``FOLDER/train/CLASS/*.png`` and ``FOLDER/test/CLASS/*.png``, or ``FOLDER/CLASS/*.png``, of which
every fifth image of each class is the test split.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zo_core.compat.torchvision import import_torchvision
from zo_core.loss.items import DataError


def read_image_folder(folder: Path) -> dict[str, npt.NDArray[Any]]:
    """Read all images, which must be of one size, as RGB bytes.

    Args:
        folder: has a folder for each class, or one of these for train and for test.

    Returns:
        Arrays x, y, and x_test, y_test where there is a folder of the test split: images uint8,
        (items, 3, height, width), and the number of each one's class in the order of their names.

    Raises:
        DataError: no classes, no images, or images of several sizes.
        ImportError: torchvision is not installed.
    """
    if not (folder / "train").is_dir():
        (x, y), _ = _read(folder)
        return {"x": x, "y": y}
    if not (folder / "test").is_dir():
        raise DataError(f"{folder} must have a folder test beside train, with the same classes")
    (x, y), classes = _read(folder / "train")
    (x_test, y_test), others = _read(folder / "test")
    if classes != others:
        raise DataError(
            f"{folder} must have the same classes in train and test, got {classes} and {others}"
        )
    return {"x": x, "y": y, "x_test": x_test, "y_test": y_test}


def _read(
    folder: Path,
) -> tuple[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]], list[str]]:
    reader: Any = import_torchvision("datasets").ImageFolder
    try:
        images = reader(str(folder))
    except (FileNotFoundError, OSError) as error:
        raise DataError(f"{folder} must have a folder of images for each class: {error}") from error
    pixels = [np.asarray(image, dtype=np.uint8) for image, _ in images]
    sizes = {array.shape[:2] for array in pixels}
    if len(sizes) > 1:
        some = ", ".join(f"{height}x{width}" for height, width in sorted(sizes)[:3])
        raise DataError(
            f"the images in {folder} must be of one size, got {len(sizes)}: {some}, ...; resize "
            "or crop them first"
        )
    labels = np.array([label for _, label in images], dtype=np.int64)
    return (np.stack(pixels).transpose(0, 3, 1, 2), labels), list(images.classes)
