"""A few thousand mutated messages; ``fuzz.py 100000 1`` sends as many as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz import fuzz


@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.parametrize("round_index", [1, 5])  # of FedAvg, of ZO
def test_mutated_messages_change_nothing_and_cost_no_memory(
    tmp_path: Path, round_index: int
) -> None:
    outcome = fuzz(2000, 1, tmp_path, round_index=round_index)
    assert outcome["decoded"] > 30, "all die in the decoder: the state machine is not tried"
    assert outcome["kinds of refusal"] >= 7
    assert outcome["peak_kib"] < 4096
    assert outcome["longest_ms"] < 5000
