"""Operations turn by turn, some as the fastest of several calls."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.workloads import timing


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
    monkeypatch.setattr(timing, "time", clock)
    found = timing.take_turns(
        {
            "add": clock.operation([9, 9, 9, 9, 9, 5, 4, 8, 7, 6, 3, 3, 2, 9, 9]),
            "mezo": clock.operation([100, 50, 70]),
        },
        repeats=2,
        calls={"add": 5},
    )
    assert found == {"add": [4, 2], "mezo": [50, 70]}  # the first turn is unmeasured


def test_slow_operations_take_fewer_turns_and_never_less_than_three(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for limit_s, turns in ((0, 3), (45, 4), (1e9, 9)):
        clock = Clock()
        monkeypatch.setattr(timing, "time", clock)
        found = timing.take_turns({"step": clock.operation([10] * 10)}, 9, limit_s=limit_s)
        assert found == {"step": [10] * turns}


def test_every_operation_has_one_time_per_turn_and_the_burn_in_has_none() -> None:
    called: list[str] = []
    operations = {name: (lambda name=name: called.append(name)) for name in ("a", "b")}
    found = timing.take_turns(operations, repeats=3)
    assert called == ["a", "b"] * 4
    assert {name: len(seconds) for name, seconds in found.items()} == {"a": 3, "b": 3}


def test_a_third_of_slow_samples_at_the_start_is_warm_up() -> None:
    steady = [9.0, 9.2, 8.9, 9.1] * 5
    assert timing.without_warm_up([24.0] * 10 + steady) == steady


def test_a_slow_sample_later_on_stays_as_an_outlier() -> None:
    samples = [9.0, 24.0, *[9.0, 9.2] * 14]
    assert timing.without_warm_up(samples) == samples
    assert timing.without_warm_up([3.0]) == [3.0]
