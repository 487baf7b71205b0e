"""Data sets that live in files: Fashion-MNIST and CIFAR-10, read by torchvision.

Files are looked for in torchvision's layout below the data folder.  They are downloaded only when
asked for, and their checksums are compared before anything is read.  ``verify=False`` reads files
whose checksums differ, for instance a rebuilt copy; CIFAR-10's are pickles, which can run code when
they are read, so do that with files of your own only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from zo_core.data.dataset import Dataset, standardised
from zo_core.torchvision_compat import import_torchvision

FASHION_MNIST_MD5: Final = {  # of the unpacked files; torchvision knows those of the packed ones
    "FashionMNIST/raw/train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "FashionMNIST/raw/train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "FashionMNIST/raw/t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "FashionMNIST/raw/t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a data set's files are and how far to trust them."""

    data_dir: Path | None = None  # the folder that holds FashionMNIST/ or cifar-10-batches-py/
    download: bool = False  # fetch what is missing
    verify: bool = True  # compare checksums before reading


def fashion_mnist(source: Source) -> Dataset:
    """Load Fashion-MNIST: 60,000 and 10,000 grey images of 28x28 in 10 classes.

    Raises:
        ValueError: no data folder given, or a file's checksum is wrong.
        FileNotFoundError: files are missing; the message says which, and where they belong.
        ConnectionError: the download failed.
    """
    reader = import_torchvision("datasets").FashionMNIST
    root = _prepare("fashion-mnist", source, reader, FASHION_MNIST_MD5)
    train, test = (reader(root, train=train) for train in (True, False))
    return standardised(
        "fashion-mnist",
        (train.data.numpy()[:, None], train.targets.numpy()),
        (test.data.numpy()[:, None], test.targets.numpy()),
    )


def cifar10(source: Source) -> Dataset:
    """Load CIFAR-10: 50,000 and 10,000 RGB images of 32x32 in 10 classes.

    Raises:
        ValueError, FileNotFoundError, ConnectionError: as :func:`fashion_mnist`.
    """
    reader = import_torchvision("datasets").CIFAR10
    files = [*reader.train_list, *reader.test_list, [reader.meta["filename"], reader.meta["md5"]]]
    md5 = {f"{reader.base_folder}/{name}": digest for name, digest in files}
    root = _prepare("cifar10", source, reader, md5)
    # the files are checked by now, or were said to need no check: torchvision's own is switched off
    unchecked = {"_check_integrity": lambda self: True, "meta": {**reader.meta, "md5": None}}
    trusting = type("CIFAR10", (reader,), unchecked)
    train, test = (trusting(root, train=train) for train in (True, False))
    return standardised(
        "cifar10",
        (train.data.transpose(0, 3, 1, 2), np.array(train.targets, dtype=np.int64)),
        (test.data.transpose(0, 3, 1, 2), np.array(test.targets, dtype=np.int64)),
    )


def _prepare(name: str, source: Source, reader: Any, md5: Mapping[str, str]) -> Path:
    """Download if asked to, then check the files; returns the data folder."""
    if source.data_dir is None:
        raise ValueError(f"{name} needs a data folder: give data_dir, the folder that holds it")
    if source.download:
        try:
            reader(source.data_dir, download=True)
        except (OSError, RuntimeError) as error:
            raise ConnectionError(f"could not download {name}: {error}") from error
    _check_files(name, source.data_dir, md5, verify=source.verify)
    return source.data_dir


def _check_files(name: str, root: Path, md5: Mapping[str, str], *, verify: bool) -> None:
    missing = [path for path in md5 if not (root / path).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{name} is not complete in {root}: put {', '.join(missing)} there,"
            " or ask for the download"
        )
    for path, expected in md5.items() if verify else ():
        with (root / path).open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != expected:
            raise ValueError(
                f"{root / path} must have md5 {expected}, got {found}: the file is damaged or not"
                " the original; replace it, or give verify=False to read it all the same"
            )
