"""Data sets that torchvision can download: Fashion-MNIST and CIFAR-10.

Files are looked for in torchvision's layout below the data folder.  They are downloaded only when
asked for, and their checksums are compared before anything is read.  ``verify=False`` reads files
whose checksums differ, for instance a rebuilt copy; no file can make the reader run code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from zo_core.compat.torchvision import import_torchvision
from zo_core.data.batches import read_batch
from zo_core.data.dataset import Dataset, standardised
from zo_core.data.files import Source, check_md5, folder_of, require_files

CLASSES: Final = 10  # of both
FASHION_MNIST_MD5: Final = {  # of the unpacked files; torchvision knows those of the packed ones
    "FashionMNIST/raw/train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "FashionMNIST/raw/train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "FashionMNIST/raw/t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "FashionMNIST/raw/t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}


def fashion_mnist(source: Source) -> Dataset:
    """Load Fashion-MNIST: 60,000 and 10,000 grey images of 28x28 in 10 classes.

    Raises:
        ValueError: no data folder given, or a file's checksum is wrong.
        FileNotFoundError: files are missing; the message says which, and where they belong.
        ConnectionError: the download failed.
    """
    root, reader = prepare_fashion_mnist(source)
    try:
        train, test = (reader(root, train=train) for train in (True, False))
    except (AssertionError, RuntimeError, LookupError) as error:
        raise ValueError(f"a file of fashion-mnist in {root} is damaged: {error}") from error
    return standardised(
        "fashion-mnist",
        (train.data.numpy()[:, None], train.targets.numpy()),
        (test.data.numpy()[:, None], test.targets.numpy()),
        num_classes=CLASSES,
    )


def cifar10(source: Source) -> Dataset:
    """Load CIFAR-10: 50,000 and 10,000 RGB images of 32x32 in 10 classes.

    Raises:
        ValueError, FileNotFoundError, ConnectionError: as :func:`fashion_mnist`.
    """
    root, reader = prepare_cifar10(source)
    batches = [name for name, _ in (*reader.train_list, *reader.test_list)]
    folder = root / reader.base_folder
    *train, test = (read_batch(folder / name) for name in batches)
    images, labels = (np.concatenate(parts) for parts in zip(*train, strict=True))
    return standardised("cifar10", (images, labels), test, num_classes=CLASSES)


def prepare_fashion_mnist(source: Source) -> tuple[Path, Any]:
    """Find and check Fashion-MNIST's files; return their root and torchvision's reader."""
    root, reader = folder_of("fashion-mnist", source), import_torchvision("datasets").FashionMNIST
    _prepare("fashion-mnist", root, source, reader, FASHION_MNIST_MD5)
    return root, reader


def prepare_cifar10(source: Source) -> tuple[Path, Any]:
    """Find and check CIFAR-10's files; return their root and torchvision's reader."""
    root, reader = folder_of("cifar10", source), import_torchvision("datasets").CIFAR10
    md5 = {f"{reader.base_folder}/{n}": d for n, d in (*reader.train_list, *reader.test_list)}
    _prepare("cifar10", root, source, reader, md5)
    return root, reader


def _prepare(name: str, root: Path, source: Source, reader: Any, md5: dict[str, str]) -> None:
    """Download if asked to, then check the files."""
    if source.download:
        try:
            reader(root, download=True)
        except (OSError, RuntimeError) as error:
            raise ConnectionError(f"could not download {name}: {error}") from error
    require_files(name, root, md5, can_download=True)
    if source.verify:
        check_md5(root, md5)
