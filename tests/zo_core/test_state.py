"""A method's state is typed where it is used, and only arrays in a fixed order elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from zo_core.federation import Replica
from zo_core.state import MethodState, RestoredState, state_as


@dataclass(frozen=True)
class Pair(MethodState):
    first: Any  # (2,)
    second: Any  # (3,)


def pair() -> Pair:
    return Pair(np.array([1, 2], np.float32), np.array([3, 4, 5], np.float32))


def test_a_state_is_its_fields_in_order() -> None:
    assert [array.tolist() for array in pair().arrays()] == [[1, 2], [3, 4, 5]]
    assert pair().num_bytes == 20


def test_a_restored_state_is_read_as_views_of_its_memory() -> None:
    values = np.arange(5, dtype=np.float32)
    read = state_as(Pair, RestoredState(values), (2, 3))
    assert read is not None
    read.second[0] = 9.0
    assert values.tolist() == [0, 1, 9, 3, 4]
    assert state_as(Pair, read, (2, 3)) is read
    assert state_as(Pair, None, (2, 3)) is None


@pytest.mark.parametrize("state", [RestoredState(np.zeros(4, np.float32)), MethodState()])
def test_another_methods_state_is_refused(state: MethodState) -> None:
    with pytest.raises(ValueError, match=r"a Pair must have 5 values, got .* with [04]"):
        state_as(Pair, state, (2, 3))


def test_snapshot_and_digest_take_any_state_and_give_the_same_bits() -> None:
    replica, other = (Replica([np.ones(3, np.float32)]) for _ in range(2))
    without = replica.digest()
    replica.shared_state = pair()
    replica.invalidate_digest()
    other.restore_(replica.snapshot(run_id=1, round_index=0))
    assert other.digest() == replica.digest() != without
    read = state_as(Pair, other.shared_state, (2, 3))
    assert read is not None
    assert read.second.tolist() == [3, 4, 5]
