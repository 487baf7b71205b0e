"""How often a step is timed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.cases.bench_time import repeats_of
from bench.workloads import timing


@pytest.mark.parametrize(
    ("seconds", "least", "repeats"), [(0.1, 3, 20), (0.01, 3, 30), (1.5, 3, 3)]
)
def test_a_short_step_is_timed_more_often(
    monkeypatch: pytest.MonkeyPatch, seconds: float, least: int, repeats: int
) -> None:
    clock = iter((0.0, seconds))
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert repeats_of(lambda: None, least) == repeats


def test_where_one_repeat_is_asked_for_a_step_is_timed_once() -> None:
    assert repeats_of(lambda: None, 1) == 1
