"""A few thousand mutated messages; ``fuzz.py 100000 1`` sends as many as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz import fuzz


@pytest.mark.usefixtures("one_torch_thread")
def test_mutated_messages_change_nothing_and_cost_no_memory(tmp_path: Path) -> None:
    outcome = fuzz(3000, 1, tmp_path)
    assert outcome["decoded"] > 30, "all die in the decoder: the state machine is not tried"
    assert outcome["kinds of refusal"] >= 8
    assert outcome["peak_kib"] < 4096
    assert outcome["longest_ms"] < 5000
