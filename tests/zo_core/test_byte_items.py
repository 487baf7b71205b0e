"""Items as bytes: the floats' losses to the bit, at a quarter of the memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from linear_export import linear_folder

from zo_core.edge.load import load_replica
from zo_core.federation.protocol.trainers import load_shard
from zo_core.loss.byte_items import ByteItems

FEATURES = 12  # of an item
MEAN, STD = np.float32(119.25), np.float32(63.7)


def pixels(items: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (items, FEATURES), dtype=np.uint8)


def test_a_selection_has_the_floats_of_the_whole() -> None:
    items = ByteItems(pixels(9), MEAN, STD)
    whole = np.asarray(items)
    assert whole.dtype == items.dtype == np.float32
    expected = (items.values.astype(np.float32) - MEAN) / STD
    assert whole.tobytes() == expected.tobytes()
    for chosen in (slice(2, 5), np.array([8, 0, 3])):
        assert np.asarray(items[chosen]).tobytes() == whole[chosen].tobytes()
    assert (len(items[2:5]), items[2:5].shape) == (3, (3, FEATURES))


@pytest.mark.parametrize("micro_batch", [None, 1, 4])
def test_a_loss_of_bytes_is_the_loss_of_their_floats(
    tmp_path: Path, micro_batch: int | None
) -> None:
    replica = load_replica(linear_folder(tmp_path))
    items, labels = ByteItems(pixels(11), MEAN, STD), np.arange(11) % 10
    of_bytes = replica.mean_loss(items, labels, micro_batch=micro_batch)
    assert of_bytes == replica.mean_loss(np.asarray(items), labels, micro_batch=micro_batch)


def test_own_bytes_stay_bytes_and_mean_their_numbers(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x=pixels(5), y=np.arange(5))
    items, _ = load_shard(tmp_path / "own.npz")
    assert isinstance(items, ByteItems)
    assert np.array_equal(np.asarray(items), pixels(5).astype(np.float32))
