"""One-sided estimates: their scalars by hand, their forwards, and that the weights come back."""

from __future__ import annotations

import numpy as np
import pytest

from zo_core import cost_model, rademacher, snap_
from zo_core.algorithms import train_config
from zo_core.estimators import ESTIMATORS
from zo_core.spsa import loss_differences

SEEDS = [3, 5, 8, 13]
RHO = 2.0**-10
START = np.array([0.5, -0.25, 0.125, 0.75], np.float32)


def scalars(estimator: str, scale: float = 1.0, seeds: list[int] = SEEDS) -> tuple[np.ndarray, int]:
    """Of the loss scale * |w|^2, on the grid; with the number of forwards."""
    w, calls = START.copy(), []

    def loss() -> float:
        calls.append(1)
        return scale * float(w.astype(np.float64) @ w)

    grid = snap_([w])
    found = loss_differences(loss, [w], seeds, epsilon=RHO, grid=grid, estimator=estimator)
    assert w.tobytes() == START.tobytes()
    return found, len(calls)


def directions() -> np.ndarray:
    return np.array([rademacher(seed, 0, 4) for seed in SEEDS], np.float64)


def test_the_forward_difference_is_the_slope_and_rho_times_the_curvature() -> None:
    """|w + rho z|^2 - |w|^2 = 2 rho z.w + 4 rho^2, of which the scalar is twice."""
    slopes = directions() @ START
    assert scalars("forward")[0].tolist() == (2 * (2 * RHO * slopes + 4 * RHO**2)).tolist()
    assert scalars("central")[0].tolist() == (4 * RHO * slopes).tolist()


def test_fzoo_divides_by_the_deviation_of_the_perturbed_losses() -> None:
    losses = np.square(START + RHO * directions()).sum(axis=1)
    start = float(np.square(START.astype(np.float64)).sum())
    expected = 2 * (losses - start) / losses.std(ddof=1)
    assert scalars("fzoo")[0] == pytest.approx(expected, rel=1e-6)


def test_fzoo_does_not_see_the_losss_scale() -> None:
    assert scalars("fzoo", 1000.0)[0] == pytest.approx(scalars("fzoo")[0], rel=1e-5)


def test_equal_losses_are_no_step() -> None:
    w = np.zeros(4, np.float32)
    grid = snap_([w])
    found = loss_differences(lambda: 1.5, [w], SEEDS, epsilon=RHO, grid=grid, estimator="fzoo")
    assert found.tolist() == [0.0] * 4


@pytest.mark.parametrize("name", ESTIMATORS)
def test_forwards_are_as_many_as_the_cost_model_says(name: str) -> None:
    expected = cost_model.zo_forwards(4, one_sided=name != "central")
    assert scalars(name)[1] == expected


def test_one_direction_has_no_deviation() -> None:
    with pytest.raises(ValueError, match=r"directions must be >= 2 for estimator 'fzoo'.*got 1"):
        scalars("fzoo", seeds=[3])
    with pytest.raises(ValueError, match="directions must be >= 2"):
        train_config(estimator="fzoo", directions=1)


def test_an_unknown_estimator_lists_the_known() -> None:
    with pytest.raises(ValueError, match="one of central, forward, fzoo, got x"):
        train_config(estimator="x")
