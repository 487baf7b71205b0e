"""Images in pickled batches, the format of CIFAR-10 and of downsampled ImageNet, read safely.

A pickle can name any function to be called while it is read.  These files need NumPy arrays, lists,
numbers and text, so the reader here knows what builds those and refuses everything else.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

IMAGE_SHAPE: Final = (3, 32, 32)  # channel, row, column: the order of the bytes of an image
_PIXELS: Final = 3072


def read_batch(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Read one file: a dictionary with "data", uint8 (items, 3072), and "labels".

    Returns:
        Images (items, 3, 32, 32) and labels (items,), as the file has them.

    Raises:
        ValueError: the file is damaged, is not such a batch, or asks for code to be run.
    """
    try:
        with path.open("rb") as file:
            batch = _Reader(file, encoding="latin1").load()
        data, labels = (_entry(batch, name) for name in ("data", "labels"))
        images = np.asarray(data)
        numbers = np.asarray(labels).astype(np.int64, casting="safe")
    except (pickle.UnpicklingError, EOFError, LookupError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is not a batch of images, or is damaged: {error}") from error
    except (ValueError, ImportError, MemoryError, OverflowError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if images.dtype != np.uint8 or images.shape != (len(numbers), _PIXELS):
        raise ValueError(
            f"{path} must hold uint8 data of shape ({len(numbers)}, {_PIXELS}), an image a label, "
            f"got {images.dtype} of {images.shape}; put the original file there"
        )
    return images.reshape(-1, *IMAGE_SHAPE), numbers


def _entry(batch: Any, name: str) -> Any:
    """Return what a key names; Python 2's keys are bytes in some files."""
    return batch[name] if name in batch else batch[name.encode()]


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return what builds arrays and text; nothing else is looked up, let alone called."""
        made = _known().get((module.replace("numpy._core", "numpy.core"), name))
        if made is None:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which images and labels do not need"
            )
        return made


def _known() -> dict[tuple[str, str], Callable[..., Any]]:
    """List what the pickles of arrays name, under the names of all versions of NumPy."""
    array = np.empty(0, np.uint8)
    reconstruct, from_buffer = array.__reduce__()[0], _from_buffer
    return {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): reconstruct,  # type: ignore[dict-item]
        ("numpy.core.multiarray", "scalar"): _scalar,
        ("numpy.core.numeric", "_frombuffer"): from_buffer,
        ("_codecs", "encode"): _latin1,
    }


def _from_buffer(buffer: Any, dtype: Any, shape: Any, order: str) -> npt.NDArray[Any]:
    """Rebuild an array of pickle protocol 5."""
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order)  # type: ignore[call-overload, no-any-return]


def _scalar(dtype: Any, data: bytes) -> Any:
    return np.frombuffer(data, dtype=dtype)[0]


def _latin1(text: str, encoding: str) -> bytes:
    """Rebuild bytes that Python 3 wrote in protocol 2; no other codec is meant."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the codec {encoding!r}")
    return text.encode("latin1")
