"""Arrays of a file or a function that cannot be trained on: one error as they are read, in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zo_core.data import load_dataset
from zo_core.data.arrays import checked_arrays
from zo_core.loss.items import DataError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 6)).astype(np.float32), np.arange(40) % 3
IMAGES = RNG.integers(0, 255, (40, 8, 8, 3))
TOKENS = RNG.integers(0, 50, (40, 10))
UNLABELLED_ROW = np.where(np.arange(40)[:, None] == 3, -100, TOKENS)

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an id for a class": ({"x": X, "y": np.where(Y == 1, 10**9, Y)}, "numpy.unique"),
    "an id beyond int32": ({"x": X, "y": np.where(Y == 1, 2**40, Y)}, "numpy.unique"),
    "channels last": ({"x": IMAGES.astype(np.uint8), "y": Y}, "put the channels first"),
    "images as int64": ({"x": IMAGES, "y": Y}, "images as uint8"),
    "images as uint16": ({"x": IMAGES.astype(np.uint16), "y": Y}, "images as uint8"),
    "signed bytes": ({"x": TOKENS.astype(np.int8) - 100, "y": Y}, "counted from 0"),
    "a token below 0": ({"x": np.where(TOKENS == 7, -1, TOKENS), "y": TOKENS}, "counted from 0"),
    "no label in a row": ({"x": TOKENS, "y": UNLABELLED_ROW}, "none in sequence 3 and 0 others"),
    "no numbers": ({"x": X[:, :0], "y": Y}, "at least one number per item"),
    "too few to test on": ({"x": X[:2], "y": Y[:2]}, "got 2 and 0; give more items"),
    "one item": ({"x": X[:1], "y": Y[:1]}, "got 1 and 0; give more items"),
    "an empty test split": ({"x": X, "y": Y, "x_test": X[:0], "y_test": Y[:0]}, "got 40 and 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_arrays_that_are_wrong_are_refused_as_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    arrays, words = WRONG[case]
    monkeypatch.chdir(tmp_path)
    np.savez("own.npz", **arrays)
    with pytest.raises(DataError, match=words):
        load_dataset("own.npz")


def test_gaps_between_classes_and_one_channel_are_allowed() -> None:
    gaps = checked_arrays({"x": X, "y": np.where(Y == 1, 7, Y)}, "here")
    assert gaps.num_outputs == 8
    grey = IMAGES[..., :1].transpose(0, 3, 1, 2).astype(np.uint8)
    for images in (grey, grey.repeat(3, axis=1), grey[:, :, :, :3]):
        assert checked_arrays({"x": images, "y": Y}, "here").x.shape[1:] == images.shape[1:]
