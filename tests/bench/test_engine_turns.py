"""The engine's timing: operations turn by turn, a short one as the fastest of five calls."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.workloads import engine as engine_workloads


class Clock:
    """Time that passes only while an operation runs."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def perf_counter(self) -> float:
        return self.now_s

    def operation(self, seconds: list[float]) -> Callable[[], None]:
        left = iter(seconds)

        def run() -> None:
            self.now_s += next(left)

        return run


def test_a_short_pass_is_the_fastest_of_five_and_a_long_one_is_called_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(engine_workloads, "time", clock)
    found = engine_workloads.take_turns(
        {
            "add": clock.operation([9, 9, 9, 9, 9, 5, 4, 8, 7, 6, 3, 3, 2, 9, 9]),
            "mezo": clock.operation([100, 50, 70]),
        },
        repeats=2,
    )
    assert found == {"add": [4, 2], "mezo": [50, 70]}  # the first turn is unmeasured
