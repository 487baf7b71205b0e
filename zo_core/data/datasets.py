"""Data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from zo_core.data.dataset import Dataset
from zo_core.data.digits import digits, digits_writers
from zo_core.data.files import Source
from zo_core.data.imagenet32 import imagenet32, prepare_imagenet32
from zo_core.data.own_data import is_own_file, own_dataset, own_path
from zo_core.data.synthetic import synthetic_blobs
from zo_core.data.torchvision_sets import (
    cifar10,
    fashion_mnist,
    prepare_cifar10,
    prepare_fashion_mnist,
)
from zo_core.import_by_name import is_own

DATASETS: Final[dict[str, Callable[[Source], Dataset]]] = {
    "digits": lambda source: digits(),
    "digits-writers": lambda source: digits_writers(),
    "fashion-mnist": fashion_mnist,
    "cifar10": cifar10,
    "imagenet32": imagenet32,
    "instructions": lambda source: _instruction_set().instructions(source),
    "synthetic": lambda source: synthetic_blobs(),
}
_OF_FILES: Final[dict[str, Callable[[Source], object]]] = {
    "fashion-mnist": prepare_fashion_mnist,
    "cifar10": prepare_cifar10,
    "imagenet32": prepare_imagenet32,
    "instructions": lambda source: _instruction_set().require_instructions(source),
}


def load_dataset(
    name: str, *, data_dir: Path | None = None, download: bool = False, verify: bool = True
) -> Dataset:
    """Load a data set into memory.

    Args:
        name: a name in :data:`DATASETS`, or the user's own: ``package.module:factory``, FILE.npz
            or a folder of images, see :mod:`zo_core.data.own_data`.
        data_dir: folder of the files; digits and synthetic need none.
        download: fetch missing files into ``data_dir``.
        verify: compare the files' checksums first; False reads whatever is there.

    Returns:
        The data set, its test split fixed.

    Raises:
        ValueError: an unknown name, no data folder for a data set of files, or a damaged file.
        FileNotFoundError: files are missing; the message says which, and where they belong.
        ConnectionError: the download failed.
        ImportError: the library that brings the data set is not installed.
    """
    source = Source(data_dir=data_dir, download=download, verify=verify)
    if name in DATASETS:
        return DATASETS[name](source)
    if is_own(name) or is_own_file(name):
        return own_dataset(name, source)
    raise ValueError(
        f"unknown data set {name!r}; known: {', '.join(DATASETS)}, FILE.npz, a folder of images, "
        "or package.module:factory for your own"
    )


def needs_files(name: str) -> bool:
    """Tell whether a data set is read from files below a data folder."""
    return name in _OF_FILES or (is_own_file(name) and not is_own(name))


def require_dataset(name: str, *, data_dir: Path | None, verify: bool = True) -> None:
    """Check that a data set's files are there, and their checksums, without reading them.

    Args:
        name: as :func:`load_dataset` takes it; nothing is checked of one without files.
        data_dir: folder of the files.
        verify: compare their checksums.

    Raises:
        ValueError, FileNotFoundError, ImportError: as :func:`load_dataset`.
    """
    source = Source(data_dir=data_dir, verify=verify)
    if name in _OF_FILES:
        _OF_FILES[name](source)
    elif needs_files(name) and not own_path(name, source).exists():
        raise FileNotFoundError(f"no data set {name}: not in the current folder, {Path.cwd()}")


def _instruction_set() -> Any:
    from zo_core.data import instruction_set  # which imports torch

    return instruction_set
