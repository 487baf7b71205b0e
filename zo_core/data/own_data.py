"""The user's own data sets: a factory, an .npz file, a folder of images.

A factory takes no arguments and returns one of these; arrays are NumPy arrays or torch tensors:

- a mapping of arrays by the names of :mod:`zo_core.data.arrays`: x, y, x_test, y_test, client
- ``((x, y), (x_test, y_test))``
- two torch data sets, training and test, whose items are (x, y)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zo_core.data.arrays import Arrays, checked_arrays, read_npz
from zo_core.data.dataset import Dataset, Split
from zo_core.data.files import Source
from zo_core.data.image_folder import read_image_folder
from zo_core.import_by_name import call_own, is_own
from zo_core.loss.items import DataError

_RETURNS = (
    "must return ((x, y), (x_test, y_test)), a dict of arrays x, y, x_test, y_test and client, or "
    "two torch data sets"
)


def own_dataset(name: str, source: Source) -> Dataset:
    """Load a data set of the user's own into memory.

    Args:
        name: ``package.module:factory``, FILE.npz or a folder of images.
        source: where files are looked for, after the current folder's.

    Raises:
        ValueError: it cannot be imported, fails, or its data cannot be trained on.
        FileNotFoundError: there is no such file or folder.
    """
    return as_dataset(name, own_arrays(name, source))


def own_arrays(name: str, source: Source) -> Arrays:
    """Load the same as arrays; torch is needed only where the data is made with it."""
    if is_own(name):
        return checked_arrays(_named(name, call_own(name, "data set")), f"data set {name}")
    path = own_path(name, source)
    if path.is_dir():
        return checked_arrays(read_image_folder(path), str(path))
    return read_npz(path)


def is_own_file(name: str) -> bool:
    """Tell whether a name is a path: FILE.npz, or a folder."""
    return name.endswith(".npz") or "/" in name or Path(name).is_dir()


def own_path(name: str, source: Source) -> Path:
    """Return where a file or folder is: below the data folder if it is there, else as it is."""
    below = None if source.data_dir is None else source.data_dir / name
    return below if below is not None and below.exists() else Path(name)


def as_dataset(name: str, arrays: Arrays) -> Dataset:
    """Make tensors of arrays."""
    import torch

    splits = [
        Split(x=torch.from_numpy(arrays.scaled(x)), y=torch.from_numpy(y))
        for x, y in ((arrays.x, arrays.y), (arrays.x_test, arrays.y_test))
    ]
    return Dataset(
        name=name,
        train=splits[0],
        test=splits[1],
        num_classes=arrays.num_outputs,
        clients=arrays.clients,
    )


def _named(name: str, made: Any) -> dict[str, npt.NDArray[Any]]:
    """Bring what a factory returned to arrays by name."""
    if isinstance(made, Mapping):
        return {str(key): _array(value) for key, value in made.items() if value is not None}
    if isinstance(made, tuple | list) and len(made) == 2:
        splits = [_pair(split) for split in made]
        if None not in splits:
            (x, y), (x_test, y_test) = (split for split in splits if split is not None)
            return {"x": x, "y": y, "x_test": x_test, "y_test": y_test}
    raise DataError(f"data set {name!r} {_RETURNS}, got a {type(made).__name__}")


def _pair(split: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]] | None:
    """Read a split: arrays (x, y), or a torch data set; None for anything else."""
    if isinstance(split, tuple | list) and len(split) == 2:
        return _array(split[0]), _array(split[1])
    if hasattr(split, "__getitem__") and hasattr(split, "__len__"):
        items = [split[index] for index in range(len(split))]
        if items and all(isinstance(item, tuple | list) and len(item) == 2 for item in items):
            return _stacked([x for x, _ in items]), _stacked([y for _, y in items])
    return None


def _stacked(values: list[Any]) -> npt.NDArray[Any]:
    arrays = [_array(value) for value in values]
    if len({array.shape for array in arrays}) > 1:
        raise DataError(
            "all items of a data set must have one shape, got "
            f"{sorted({array.shape for array in arrays})[:3]}; pad, crop or resize them"
        )
    return np.stack(arrays)


def _array(value: Any) -> npt.NDArray[Any]:
    """Make an array of an array, a tensor, a number or an image; without importing torch."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value)
