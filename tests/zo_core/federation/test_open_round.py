"""When a round ends: looked up from one witness, it is what a look at every client says."""

from __future__ import annotations

import random
from typing import cast

import pytest

from zo_core.federation.protocol.inbox import Inbox
from zo_core.federation.protocol.open_round import OpenRound
from zo_core.method import RoundContext

COHORT = tuple(range(1, 9))
CONTEXT = RoundContext(run_seed=0, run_id=0, round_index=0, cohort=COHORT, samples=(1,) * 8)
ROSTER = {f"c{slot}": slot for slot in range(10)}


class Arrivals:
    """An inbox that knows only who has answered."""

    def __init__(self) -> None:
        self.arrived: set[int] = set()


@pytest.mark.parametrize("seed", range(30))
def test_a_round_is_due_when_nobody_online_could_still_answer(seed: int) -> None:
    draw, inbox, online = random.Random(seed), Arrivals(), set(ROSTER)
    flight = OpenRound(
        context=CONTEXT,
        inbox=cast(Inbox, inbox),
        quorum=draw.randint(1, 8),
        opened_s=0.0,
        deadline_s=1e9,
    )
    for _ in range(200):
        name = draw.choice(list(ROSTER))
        match draw.choice(["answers", "leaves", "returns"]):
            case "answers" if name in online and ROSTER[name] in COHORT:
                inbox.arrived.add(ROSTER[name])
            case "leaves":
                online.discard(name)
            case "returns":
                online.add(name)
        lacking = {ROSTER[name] for name in online} & flight.cohort - inbox.arrived
        whole = len(inbox.arrived) == len(COHORT)
        expected = whole or (len(inbox.arrived) >= flight.quorum and not lacking)
        assert flight.is_due(0.0, online, ROSTER) == expected
    assert flight.is_due(1e9, online, ROSTER)
