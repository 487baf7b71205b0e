"""A simulation's memory does not grow with the variety of its clients' shard sizes."""

from __future__ import annotations

import os

import pytest
from torch import nn

import devices
from zo_core.federation.simulation.kernel_cache import CAPACITY, bound_kernel_cache


@pytest.mark.slow
@pytest.mark.process
def test_two_hundred_batch_sizes_take_little_memory() -> None:
    """How much more they take without the bound depends on the processor: 0 to 30 MiB."""
    unbounded, bounded = (
        devices.run_isolated("zo_core_children:memory_of_batch_sizes", 200, is_bounded).value
        for is_bounded in (False, True)
    )
    assert bounded < 1.05 * unbounded
    assert bounded < 20 << 20


@pytest.mark.slow
@pytest.mark.process
def test_a_simulation_of_two_hundred_shard_sizes_takes_little_memory() -> None:
    one, many = (
        devices.run_isolated("zo_core_children:memory_of_shard_sizes", sizes).value
        for sizes in (1, 200)
    )
    assert many - one < 16 << 20  # 10 MiB; without the bound 26


@pytest.mark.parametrize(("convolutions", "kernels"), [(0, 8), (1, 16), (20, 168)])
def test_the_bound_follows_the_model(
    monkeypatch: pytest.MonkeyPatch, convolutions: int, kernels: int
) -> None:
    monkeypatch.delenv(CAPACITY, raising=False)
    bound_kernel_cache(nn.Sequential(*(nn.Conv2d(1, 1, 1) for _ in range(convolutions))))
    assert os.environ[CAPACITY] == str(kernels)


def test_a_value_from_outside_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAPACITY, "7")
    bound_kernel_cache(nn.Linear(1, 1))
    assert os.environ[CAPACITY] == "7"
