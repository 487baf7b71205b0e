"""What every loader and every back end requires of items and their labels, in one place.

An item is finite numbers of the model's shape; it has one label, a whole number in
[0, num_classes).  A sequence of tokens has one at each position.  Needs NumPy alone; torch tensors
are checked as they are.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from zo_core.loss.byte_items import ByteItems

UNLABELLED = -100  # the label of a position that is not part of the loss
Targets = Literal["classes", "tokens", "values"]


class DataError(ValueError):
    """Items or labels that cannot be trained on; the message says what is wrong, and the fix."""


def targets_of(y: Any) -> Targets:
    """Tell what targets are: a class per item, a token per position, or numbers.

    Args:
        y: (items,) or (items, ...), a tensor or an array.

    >>> targets_of(np.array([0, 2])), targets_of(np.array([[1, 2]])), targets_of(np.array([0.5]))
    ('classes', 'tokens', 'values')
    """
    if "int" not in str(y.dtype):
        return "values"
    return "classes" if y.ndim == 1 else "tokens"


def as_items(x: npt.NDArray[Any], where: str) -> npt.NDArray[np.float32]:
    """Return a file's items as float32.

    Args:
        x: (items, ...) of any real number type.
        where: names the data in the message.

    Raises:
        DataError: x is no array of real numbers.
    """
    if x.dtype.kind not in "fiub" or x.ndim == 0:
        raise DataError(f"{where}: x must be real numbers, (items, ...), got {_described(x)}")
    with np.errstate(over="ignore"):  # an infinity is found by require_items
        return x.astype(np.float32)


def as_labels(y: npt.NDArray[Any], where: str) -> npt.NDArray[np.int64]:
    """Return a file's labels as int64.

    Args:
        y: (items,), whole numbers in any number type.
        where: names the data in the message.

    Raises:
        DataError: a label is not a whole number, or an item has several.
    """
    if y.dtype.kind not in "fiub" or y.ndim != 1:
        hint = "; for one-hot rows give y.argmax(axis=1), for a column y.ravel()" if y.ndim else ""
        raise DataError(f"{where}: y must be one label per item, got {_described(y)}{hint}")
    with np.errstate(invalid="ignore"):
        whole = y.astype(np.int64)
    wrong = np.flatnonzero(whole != y)
    if wrong.size:
        raise DataError(
            f"{where}: a label must be the whole number of a class, got {y[wrong[0]]} at item "
            f"{wrong[0]}"
        )
    return whole


def require_items(
    x: Any, y: Any, *, num_classes: int, where: str, shape: tuple[int, ...] | None = None
) -> None:
    """Check items and labels against what a model and its loss take.

    Args:
        x: (items, ...), a tensor, an array or ByteItems; floats must be finite.
        y: (items,), int64.
        num_classes: the model's.
        where: names the data in the message.
        shape: of one item; None for any.

    Raises:
        DataError: no items, another shape, not one label per item, or a value out of range.
    """
    if len(x) == 0 or tuple(y.shape) != (len(x),):
        raise DataError(
            f"{where} must have one label per item and at least one item, got {len(x)} items and "
            f"labels of shape {tuple(y.shape)}"
        )
    if shape is not None and tuple(x.shape[1:]) != tuple(shape):
        raise DataError(
            f"{where} must have items of shape {tuple(shape)}, got {tuple(x.shape[1:])}"
            f"{_layout_hint(tuple(x.shape[1:]), tuple(shape))}"
        )
    _require_labels(y, num_classes, where)
    _require_finite(x, where)


def require_sequences(x: Any, y: Any, *, num_classes: int, where: str) -> None:
    """Check sequences of tokens, in which each position has a label or none.

    Args:
        x: (sequences, positions), the numbers of tokens.
        y: of the same shape, int64; UNLABELLED where a position is not part of the loss.
        num_classes: tokens of the vocabulary.
        where: names the data in the message.

    Raises:
        DataError: no sequences, another shape, no label at all, or one out of range.
    """
    labelled = y[y != UNLABELLED]
    if tuple(y.shape) != tuple(x.shape) or len(labelled) == 0:
        raise DataError(
            f"{where} must have a label or {UNLABELLED} at each position, and at least one label, "
            f"got {tuple(x.shape)} tokens and labels of shape {tuple(y.shape)}"
        )
    without = np.flatnonzero((np.asarray(y).reshape(len(y), -1) == UNLABELLED).all(axis=1))
    if without.size:
        raise DataError(
            f"{where} must have at least one label in each sequence, got none in sequence "
            f"{without[0]} and {len(without) - 1} others; leave them out"
        )
    _require_labels(labelled, num_classes, where)


def require_values(x: Any, y: Any, *, where: str) -> None:
    """Check items whose targets are numbers, as in regression.

    Args:
        x: (items, ...), a tensor or an array.
        y: (items,) or (items, ...), floating point.
        where: names the data in the message.

    Raises:
        DataError: no items, not one target per item, or a value that is not finite.
    """
    if len(x) == 0 or len(y) != len(x):
        raise DataError(
            f"{where} must have one target per item and at least one item, got {len(x)} items and "
            f"{len(y)} targets"
        )
    _require_finite(x, where)
    _require_finite(y, f"the targets of {where}")


def _require_finite(x: Any, where: str) -> None:
    if isinstance(x, ByteItems):
        return
    if 0 in x.shape:
        raise DataError(f"{where} must have at least one number per item, got {tuple(x.shape)}")
    if "float" in str(x.dtype) and not np.isfinite([float(x.min()), float(x.max())]).all():
        raise DataError(
            f"{where} must be finite, got {_first_bad(x)}; remove or replace NaN and infinities"
        )


def _require_labels(y: Any, num_classes: int, where: str) -> None:
    if not str(y.dtype).endswith("int64"):
        raise DataError(f"{where} must have labels of type int64, got {y.dtype}")
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= num_classes:
        from_one = low == 1 and high == num_classes
        raise DataError(
            f"{where} must have labels in [0, {num_classes}), got {low} to {high}"
            + ("; classes are numbered from 0: subtract 1" if from_one else "")
        )


def _layout_hint(found: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if len(found) == len(wanted) == 3 and (found[2], *found[:2]) == wanted:
        return "; put the channels first: x.transpose(0, 3, 1, 2)"
    return ""


def _first_bad(x: Any) -> str:
    flat = np.asarray(x).reshape(len(x), -1)
    item = int(np.flatnonzero(~np.isfinite(flat).all(axis=1))[0])
    return f"{flat[item][~np.isfinite(flat[item])][0]} in item {item}"


def _described(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype} of shape {array.shape}"
