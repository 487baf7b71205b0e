"""Data as arrays: what an .npz file, or a factory of the user's own, contains.

| array | what it is |
|---|---|
| x | items: uint8 images (items, channels, height, width), which are standardised by channel; other integers are token ids; the rest is taken as float32 |
| y | targets: integers (items,) are classes, integers (items, positions) next tokens, floats numbers to predict |
| x_test, y_test | the test split; left out: every fifth item, of each class, by a constant seed |
| client | who holds each training item, (items,), any integers or strings; left out: a Dirichlet draw |

Needs NumPy alone, so that a client without torch reads the same file.
"""  # noqa: E501 (a table)

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.npyio import NpzFile

from zo_core.data.dataset import Scaling, channel_scaling, require_contrast
from zo_core.data.digits import TEST_SHARE, TEST_SPLIT_SEED, stratified_mask
from zo_core.loss.items import DataError, as_items, as_labels, targets_of
from zo_core.philox import Purpose, random_permutation

NAMES = ("x", "y", "x_test", "y_test", "client")
_CHANNELS = (1, 3, 4)  # of images
_MOST_CLASSES = 1 << 20  # a number beyond is an id, and no class
_IMAGE_DIMENSIONS = 4  # items, channels, height, width


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arrays:
    """A training and a test split, checked and in the engine's types."""

    x: npt.NDArray[Any]  # uint8 images with a scaling, int64 token ids, or float32
    y: npt.NDArray[Any]  # int64 or float32
    x_test: npt.NDArray[Any]
    y_test: npt.NDArray[Any]
    clients: npt.NDArray[np.int64] | None  # (items,), 0 .. clients - 1
    scaling: Scaling | None  # of images

    @property
    def num_outputs(self) -> int:
        """Classes, tokens of the vocabulary, or numbers per item."""
        match targets_of(self.y):
            case "values":
                return int(self.y[0].size)
            case "tokens":
                return int(max(a.max() for a in (self.x, self.y, self.x_test, self.y_test))) + 1
            case "classes":
                return int(max(self.y.max(), self.y_test.max())) + 1

    @property
    def groups(self) -> npt.NDArray[np.int64]:
        """What clients differ in: each training item's class; else nothing."""
        return self.y if targets_of(self.y) == "classes" else np.zeros(len(self.y), np.int64)

    def scaled(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return items as a model takes them."""
        return x if self.scaling is None else self.scaling.of_array(x)


def read_npz(path: Path) -> Arrays:
    """Read an .npz file; nothing in it can run code.

    Raises:
        DataError: it lacks x or y, has other arrays, or they do not fit together.
        FileNotFoundError: there is no such file; the message says where it was looked for.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no data set {path}: the path is relative to the current folder, {Path.cwd()}, or to "
            "--data-dir"
        )
    return checked_arrays(arrays_of(path), str(path))


def arrays_of(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of an .npz file by name; nothing in it can run code.

    Raises:
        DataError: it is not such a file.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            if not isinstance(found, NpzFile):
                raise ValueError("it is a single array")
            return {name: found[name] for name in found.files}
    except (KeyError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(
            f"{path} must be an .npz file with arrays x and y: {error}; write it by "
            "numpy.savez(FILE, x=x, y=y)"
        ) from error


def checked_arrays(found: Mapping[str, Any], where: str) -> Arrays:
    """Check arrays and bring them to the engine's types.

    Args:
        found: arrays by name, see the head of this file.
        where: names the data in messages.

    Raises:
        DataError: an array is missing, unknown, or does not fit the others.
    """
    require_x_and_y(found, where)
    if unknown := sorted(set(found) - set(NAMES)):
        raise DataError(
            f"{where} may have the arrays {', '.join(NAMES)}, got {', '.join(map(repr, unknown))}"
        )
    if ("x_test" in found) != ("y_test" in found):
        raise DataError(f"{where} must have both x_test and y_test, or neither")
    x, y = _items(found["x"], where), _targets(found["y"], where)
    if len(x) != len(y) or len(x) == 0:
        raise DataError(f"{where}: x and y must have as many items, got {len(x)} and {len(y)}")
    clients = _clients(found.get("client"), len(x), where)
    if "x_test" in found:
        test = _items(found["x_test"], where), _targets(found["y_test"], where)
        _require_alike(x, y, test, where)
        return _arrays((x, y), test, clients, where)
    is_test = _test_mask(y)
    kept = None if clients is None else renumbered(clients[~is_test])
    return _arrays((x[~is_test], y[~is_test]), (x[is_test], y[is_test]), kept, where)


def require_x_and_y(found: Collection[str], where: str) -> None:
    """Check that there are arrays x and y.

    Raises:
        DataError: one is missing.
    """
    if not {"x", "y"} <= set(found):
        got = ", ".join(map(repr, found)) or "none"
        raise DataError(f"{where} must have arrays x and y, got {got}")


def renumbered(ids: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Number clients 0, 1, ... in the order of their ids.

    >>> renumbered(np.array(["bea", "al", "bea"])).tolist()
    [1, 0, 1]
    """
    return np.unique(ids, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _arrays(train: tuple[Any, Any], test: tuple[Any, Any], clients: Any, where: str) -> Arrays:
    x, y = train
    if min(len(y), len(test[1])) == 0:
        raise DataError(
            f"{where}: training and test split need items, got {len(y)} and {len(test[1])}; give "
            "more items, or x_test and y_test"
        )
    scaling = None
    if x.dtype == np.uint8:
        require_contrast(where, x)
        scaling = channel_scaling(x)
    return Arrays(x=x, y=y, x_test=test[0], y_test=test[1], clients=clients, scaling=scaling)


def _items(found: Any, where: str) -> npt.NDArray[Any]:
    x: npt.NDArray[Any] = np.asarray(found)
    if x.dtype == np.uint8 and x.ndim == _IMAGE_DIMENSIONS:
        return _channels_first(x, where)
    if x.dtype.kind in "iu" and x.dtype != np.uint8:
        return _tokens(x, where)
    return as_items(x, where)


def _channels_first(x: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    if x.shape[3] in _CHANNELS and x.shape[1] not in _CHANNELS:
        raise DataError(
            f"{where}: images must be (items, channels, height, width), got {x.shape}; put the "
            "channels first: x.transpose(0, 3, 1, 2)"
        )
    return x


def _tokens(x: npt.NDArray[Any], where: str) -> npt.NDArray[np.int64]:
    """Check what integers are: the numbers of tokens."""
    if x.ndim == _IMAGE_DIMENSIONS or (x.size and x.min() < 0):
        raise DataError(
            f"{where}: integers other than uint8 images are token ids, counted from 0, got "
            f"{x.dtype} of shape {x.shape}; store numbers as float32, images as uint8"
        )
    return np.asarray(x, np.int64)


def _targets(found: Any, where: str) -> npt.NDArray[Any]:
    y: npt.NDArray[Any] = np.asarray(found)
    if y.dtype.kind == "f" and y.ndim > 0:
        return np.asarray(y, np.float32)
    if y.dtype.kind in "iu" and y.ndim == 2:
        return np.asarray(y, np.int64)
    labels = as_labels(y, where)
    if labels.size and labels.max() >= _MOST_CLASSES:
        raise DataError(
            f"{where}: classes are counted from 0, got {labels.max()}; number them by "
            "numpy.unique(y, return_inverse=True)[1]"
        )
    return labels


def _clients(ids: Any, items: int, where: str) -> npt.NDArray[np.int64] | None:
    if ids is None:
        return None
    ids = np.asarray(ids)
    if ids.shape != (items,) or ids.dtype.kind not in "iuUS":
        raise DataError(
            f"{where}: client must have an integer or a string for each training item, "
            f"({items},), got {ids.dtype} of shape {ids.shape}"
        )
    return renumbered(ids)


def _require_alike(x: Any, y: Any, test: tuple[Any, Any], where: str) -> None:
    for ours, theirs, name in ((x, test[0], "x"), (y, test[1], "y")):
        if ours.shape[1:] != theirs.shape[1:] or ours.dtype != theirs.dtype:
            raise DataError(
                f"{where}: {name} and {name}_test must be of one shape and type, got "
                f"{ours.dtype} {ours.shape[1:]} and {theirs.dtype} {theirs.shape[1:]}"
            )


def _test_mask(y: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if targets_of(y) == "classes" and y.min() >= 0:
        return stratified_mask(y, TEST_SHARE, TEST_SPLIT_SEED)
    mask = np.zeros(len(y), dtype=np.bool_)
    order = random_permutation(TEST_SPLIT_SEED, Purpose.SHUFFLE, len(y), a=0)
    mask[order[: round(TEST_SHARE * len(y))]] = True
    return mask
