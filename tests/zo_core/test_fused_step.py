"""ZOSGD's step, whose last pass restores and updates: the bits of an estimate and its step."""

from __future__ import annotations

import numpy as np
import pytest

from zo_core import ZOSGD, GridError, NonFiniteLossError, snap_

SIZES = (5_000, 129, 1)


def weights():
    rng = np.random.default_rng(3)
    return [rng.uniform(-0.9, 0.9, n).astype(np.float32) for n in SIZES]


def loss_of(arrays):
    return lambda: sum(float(a.astype(np.float64) @ a) for a in arrays)


def optimizer_of(arrays, *, lr, directions, is_plain):
    grid = None if is_plain else snap_(arrays)
    groups = [0, 1, 0] if isinstance(lr, list) else None
    return ZOSGD(arrays, lr=lr, directions=directions, grid=grid, group_of=groups)


def bits(optimizer):
    exponents = b"" if optimizer.grid is None else optimizer.grid.exponents.tobytes()
    return [array.tobytes() for array in optimizer.params.arrays], exponents, optimizer.steps_taken


@pytest.mark.parametrize("is_plain", [False, True])
@pytest.mark.parametrize("directions", [1, 3, 6])
@pytest.mark.parametrize("lr", [1e-5, 1e-3, [1e-4, 0.0]])
def test_a_step_is_an_estimate_and_its_step(lr, directions, is_plain):
    found = []
    for is_fused in (True, False):
        arrays = weights()
        optimizer = optimizer_of(arrays, lr=lr, directions=directions, is_plain=is_plain)
        for _ in range(3):
            if is_fused:
                optimizer.step(loss_of(arrays))
            else:
                optimizer.estimate(loss_of(arrays))
                optimizer.apply()
        found.append(bits(optimizer))
    assert found[0] == found[1]


def test_a_step_that_leaves_the_grid_changes_nothing():
    arrays = weights()
    optimizer = optimizer_of(arrays, lr=1e6, directions=1, is_plain=False)
    before = bits(optimizer)
    with pytest.raises(GridError):
        optimizer.step(loss_of(arrays))
    assert bits(optimizer) == before


def test_a_loss_that_is_not_finite_changes_nothing():
    arrays = weights()
    optimizer = optimizer_of(arrays, lr=1e-3, directions=2, is_plain=False)
    before = bits(optimizer)
    losses = iter([1.0, 2.0, float("nan")])
    with pytest.raises(NonFiniteLossError):
        optimizer.step(lambda: next(losses))
    assert bits(optimizer) == before
