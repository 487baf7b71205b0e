"""Two forwards to one scalar: the right slope, 2S + 1 passes, and weights that come back."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F

from zo_core import (
    GridError,
    NonFiniteLossError,
    digest,
    loss_differences,
    perturb_,
    projected_gradient,
    rademacher,
    snap_,
)
from zo_core.seeds import derive_seed

Array = npt.NDArray[np.float32]
SEEDS = [derive_seed(5, round_index=0, client_id=0, direction=d) for d in range(4)]


def weights() -> list[Array]:
    rng = np.random.default_rng(2)
    return [rng.normal(0, 0.3, n).astype(np.float32) for n in (33, 0, 200)]


def quadratic(tensors: list[Array]) -> Callable[[], float]:
    return lambda: 0.5 * sum(float((w.astype(np.float64) ** 2).sum()) for w in tensors)


# --- the slope -----------------------------------------------------------------------------------


@pytest.mark.parametrize("on_grid", [True, False])
@pytest.mark.parametrize("tau", [1.0, 0.5])
def test_on_a_parabola_the_scalar_is_z_dot_grad(on_grid: bool, tau: float) -> None:
    """Central differences are exact on a quadratic: dL = 2 rho z.w, whatever tau."""
    tensors = weights()
    grid = snap_(tensors) if on_grid else None
    for seed in SEEDS:
        slope = sum(
            float(rademacher(seed, i, w.size).astype(np.float64) @ w) for i, w in enumerate(tensors)
        )
        found = projected_gradient(
            quadratic(tensors), tensors, seed, epsilon=1e-2, tau=tau, grid=grid
        )
        assert found == pytest.approx(slope, rel=1e-5, abs=1e-6)


@pytest.mark.usefixtures("one_torch_thread")
def test_the_mean_over_directions_agrees_with_autograd_within_its_standard_error() -> None:
    """E[(z.g) z] = g.  Each component's mean is within 5 of its own standard errors, and the whole
    vector's squared error in sigmas is what chance gives.
    """
    rng = np.random.default_rng(0)
    shapes = [(4, 5), (5,), (5, 3)]
    tensors = [rng.normal(0, 0.5, shape).astype(np.float32) for shape in shapes]
    x, y = torch.from_numpy(rng.normal(0, 1, (16, 4))), torch.from_numpy(rng.integers(0, 3, 16))

    def loss(w: list[torch.Tensor]) -> torch.Tensor:
        return F.cross_entropy(torch.tanh(x @ w[0] + w[1]) @ w[2], y)

    leaves = [torch.from_numpy(w.astype(np.float64)).requires_grad_() for w in tensors]
    gradient = np.concatenate([g.flatten() for g in torch.autograd.grad(loss(leaves), leaves)])

    def forward() -> float:
        return float(loss([torch.from_numpy(w.astype(np.float64)) for w in tensors]))

    n, grid = 1000, snap_(tensors)
    estimates = np.empty((n, gradient.size))
    for d in range(n):
        seed = derive_seed(11, round_index=0, client_id=0, direction=d)
        z = np.concatenate([rademacher(seed, t, w.size) for t, w in enumerate(tensors)])
        slope = projected_gradient(forward, tensors, seed, epsilon=1e-3, grid=grid)
        estimates[d] = slope * z
    sigmas = (estimates.mean(axis=0) - gradient) / (estimates.std(axis=0, ddof=1) / math.sqrt(n))
    assert np.abs(sigmas).max() < 5
    assert abs((sigmas**2).sum() - len(sigmas)) < 5 * math.sqrt(2 * len(sigmas))
    # and it is the gradient that is met, not zero within a large error:
    assert np.linalg.norm(estimates.mean(axis=0) - gradient) < 0.5 * np.linalg.norm(gradient)


def test_the_difference_is_float64_rounded_once_to_float32() -> None:
    losses = iter([1.0 + 2.0**-40, 1.0])
    found = loss_differences(lambda: next(losses), weights(), [1], epsilon=1e-3)
    assert found.dtype == np.float32
    assert found.tolist() == [2.0**-40]  # lost where losses were float32


def test_a_scalar_is_divided_by_twice_the_grids_radius() -> None:
    tensors = weights()
    grid = snap_(tensors)
    losses = iter([1.0, 0.0])
    found = projected_gradient(lambda: next(losses), tensors, 1, epsilon=1e-4, tau=0.75, grid=grid)
    assert found == 1.0 / (2 * grid.radius(1e-4, 0.75))


# --- passes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("s", [1, 2, 3, 7])
def test_s_directions_take_2s_plus_1_passes_and_2s_forwards(s: int) -> None:
    phases: list[str] = []
    loss_differences(lambda: 0.0, weights(), list(range(s)), epsilon=1e-3, observe=phases.append)
    assert phases == ["perturb", "forward", "re-perturb", "forward"] * s + ["restore"]
    passes = Counter(phases)
    assert passes.total() - passes["forward"] == 2 * s + 1


def test_a_seed_given_twice_in_a_row_gives_the_same_scalar_twice() -> None:
    tensors = weights()
    grid = snap_(tensors)
    a, b, c = loss_differences(quadratic(tensors), tensors, [7, 7, 8], epsilon=1e-3, grid=grid)
    assert a == b != c


@pytest.mark.parametrize("on_grid", [True, False])
def test_the_fused_walk_gives_the_scalars_of_separate_calls(on_grid: bool) -> None:
    fused, apart = weights(), weights()
    grids = [snap_(t) if on_grid else None for t in (fused, apart)]
    together = loss_differences(quadratic(fused), fused, SEEDS, epsilon=1e-3, grid=grids[0])
    separate = [
        loss_differences(quadratic(apart), apart, [seed], epsilon=1e-3, grid=grids[1])[0]
        for seed in SEEDS
    ]
    assert together.tolist() == [float(d) for d in separate]
    assert [w.tobytes() for w in fused] == [w.tobytes() for w in apart]


def test_each_forward_sees_w_plus_and_minus_rho_z() -> None:
    tensors = weights()
    grid = snap_(tensors)
    rho, seen = grid.radius(1e-3), []
    loss_differences(
        lambda: seen.append([w.copy() for w in tensors]) or 0.0,  # type: ignore[func-returns-value]
        tensors,
        SEEDS,
        epsilon=1e-3,
        grid=grid,
    )
    expected = []
    for seed in SEEDS:
        for sign in (1, -1):
            moved = [w.copy() for w in tensors]
            perturb_(moved, seed, sign * rho)
            expected.append(moved)
    for one, other in zip(seen, expected, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# --- restoring -----------------------------------------------------------------------------------


class LossError(Exception):
    """What a user's loss function may raise."""


def failing_at(call: int, how: Callable[[], float]) -> Callable[[], float]:
    calls = iter(range(1, 100))
    return lambda: how() if next(calls) == call else 1.0


def raising() -> float:
    raise LossError


@pytest.mark.parametrize("call", [1, 2, 3, 4, 5, 6])
def test_a_loss_that_raises_leaves_the_weights_as_they_were(call: int) -> None:
    tensors = weights()
    grid = snap_(tensors)
    before = digest(tensors, grid)
    with pytest.raises(LossError):
        loss_differences(failing_at(call, raising), tensors, SEEDS[:3], epsilon=1e-3, grid=grid)
    assert digest(tensors, grid) == before


@pytest.mark.parametrize("call", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_is_an_error_after_restoring(call: int, bad: float) -> None:
    tensors = weights()
    grid = snap_(tensors)
    before = digest(tensors, grid)
    with pytest.raises(NonFiniteLossError, match=r"is (nan|-?inf); the weights are restored"):
        loss_differences(failing_at(call, lambda: bad), tensors, SEEDS[:3], epsilon=1e-3, grid=grid)
    assert digest(tensors, grid) == before


def test_a_difference_beyond_float32_is_an_error_after_restoring() -> None:
    tensors = weights()
    grid = snap_(tensors)
    before = digest(tensors, grid)
    losses = iter([1e39, -1e39])
    with pytest.raises(NonFiniteLossError, match="weights are restored"):
        loss_differences(lambda: next(losses), tensors, [1], epsilon=1e-3, grid=grid)
    assert digest(tensors, grid) == before


@pytest.mark.parametrize("phase", ["perturb", "forward", "re-perturb", "restore"])
@pytest.mark.parametrize("occurrence", [1, 2])
def test_an_observer_that_raises_leaves_the_weights_as_they_were(
    phase: str, occurrence: int
) -> None:
    tensors, told = weights(), Counter[str]()
    grid = snap_(tensors)
    before = digest(tensors, grid)

    def observe(ended: str) -> None:
        told[ended] += 1
        if ended == phase and told[ended] == min(occurrence, 1 if phase == "restore" else 2):
            raise LossError

    with pytest.raises(LossError):
        loss_differences(lambda: 0.0, tensors, SEEDS[:2], epsilon=1e-3, grid=grid, observe=observe)
    assert digest(tensors, grid) == before


def test_a_bad_seed_in_the_middle_leaves_the_weights_as_they_were() -> None:
    tensors = weights()
    grid = snap_(tensors)
    before = digest(tensors, grid)
    with pytest.raises(ValueError, match="seed must be"):
        loss_differences(lambda: 0.0, tensors, [1, 2, -1], epsilon=1e-3, grid=grid)
    assert digest(tensors, grid) == before


def test_plain_mode_restores_nearly() -> None:
    tensors = weights()
    before = [w.copy() for w in tensors]
    loss_differences(lambda: 0.0, tensors, SEEDS, epsilon=1e-3)
    for old, new in zip(before, tensors, strict=True):
        assert (np.abs(old - new) <= 3 * len(SEEDS) * 2.0**-24 * (np.abs(old) + 2e-3)).all()


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_grid", [True, False])
@pytest.mark.parametrize("name", ["epsilon", "tau"])
@pytest.mark.parametrize("value", [0.0, -1e-3, float("nan"), float("inf")])
def test_epsilon_and_tau_must_be_positive_and_finite(
    on_grid: bool, name: str, value: float
) -> None:
    tensors = weights()
    grid = snap_(tensors) if on_grid else None
    arguments = {"epsilon": 1e-3, "tau": 1.0, name: value}
    with pytest.raises(ValueError, match=f"{name} must be > 0 and finite, got {value}"):
        projected_gradient(raising, tensors, 1, grid=grid, **arguments)


def test_a_radius_that_the_grid_lacks_is_an_error_before_any_forward() -> None:
    tensors = weights()
    grid = snap_(tensors)
    with pytest.raises(GridError):
        projected_gradient(raising, tensors, 1, epsilon=1e-12, grid=grid)


@pytest.mark.parametrize("distribution", ["gaussian", "sphere", "cauchy"])
def test_a_grid_admits_rademacher_alone(distribution: str) -> None:
    tensors = weights()
    grid = snap_(tensors)
    with pytest.raises(ValueError, match=f"Rademacher.*{distribution}.*grid=None"):
        loss_differences(raising, tensors, [1], epsilon=1e-3, grid=grid, distribution=distribution)


@pytest.mark.parametrize("distribution", ["gaussian", "sphere"])
def test_other_distributions_measure_the_slope_along_their_own_direction(
    distribution: str,
) -> None:
    tensors = weights()
    direction = [np.zeros(w.shape) for w in tensors]
    perturb_(direction, 3, 1.0, distribution=distribution)
    slope = sum(float(z @ w) for z, w in zip(direction, tensors, strict=True))
    found = loss_differences(
        quadratic(tensors), tensors, [3], epsilon=1e-2, distribution=distribution
    )
    assert found[0] / 2e-2 == pytest.approx(slope, rel=1e-4)
