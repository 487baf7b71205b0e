"""One list of scalars is one step: rules 6 to 9 against exact integers, and plain mode."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import slow_grid
import slow_stream
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zo_core import ZOSGD, Grid, GridError, apply_updates_, kernels, perturb_, snap_
from zo_core.fixed_point import coefficients, fixed_point
from zo_core.optimizer import list_pass
from zo_core.parameters import parameters

Array = npt.NDArray[np.float32]
Updates = Sequence[tuple[int, float]]
SIZES = (3, 0, 130, 1)


def some_tensors(seed: int = 0, spread: float = 0.3) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0, spread * 4**i, n).astype(np.float32) for i, n in enumerate(SIZES)]


def some_updates(n: int, seed: int = 1) -> list[tuple[int, float]]:
    rng = np.random.default_rng(seed)
    scalars = rng.normal(0, 0.01, n).astype(np.float32)
    return [(int(rng.integers(0, 2**64, dtype=np.uint64)), float(d)) for d in scalars]


def bits(tensors: Sequence[Array]) -> list[bytes]:
    return [t.tobytes() for t in tensors]


# --- on the grid ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["numpy", "c", "torch"])
@pytest.mark.parametrize("lr", [1e-9, 1e-6, 1e-3, 0.03, 0.2])
@pytest.mark.parametrize("n", [1, 7])
def test_a_step_equals_exact_integers(kernel: str, lr: float, n: int) -> None:
    """From steps that all round to zero to steps that widen."""
    tensors, updates = some_tensors(), some_updates(n)
    exact = [slow_grid.snap(t.tolist()) for t in tensors]
    hyper = slow_grid.Hyper(lr=lr, tau=0.75)
    moved, zeros = slow_grid.step(exact, updates, hyper)
    grid = snap_(tensors)
    with kernels.force_kernel(kernel):
        report = apply_updates_(tensors, updates, lr, epsilon=1e-3, tau=0.75, grid=grid)
    assert bits(tensors) == bits([t.weights() for t in moved])
    assert grid.exponents.tolist() == [t.e for t in moved]
    assert report.zero_share == zeros / sum(SIZES)
    names = [str(i) for i, (a, b) in enumerate(zip(exact, moved, strict=True)) if a.e != b.e]
    assert report.widened == tuple(names)


def test_the_steps_above_reach_both_ends() -> None:
    exact = [slow_grid.snap(t.tolist()) for t in some_tensors()]
    for lr, zero_increments, widens in ((1e-9, 134, False), (0.2, 0, True)):
        moved, zeros = slow_grid.step(exact, some_updates(7), slow_grid.Hyper(lr=lr, tau=0.75))
        assert zeros == zero_increments
        assert [t.e for t in moved] != [t.e for t in exact] or not widens


@given(
    st.lists(st.integers(-(2**23), 2**23), min_size=1, max_size=6),
    st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=5),
    st.integers(-32, 4),
    st.booleans(),
)
@settings(max_examples=60)
def test_a_step_equals_exact_integers_whatever_the_scale(
    ks: list[int], differences: list[float], power: int, literal: bool
) -> None:
    tensor = slow_grid.Tensor(ks, -23)
    updates = list(enumerate(differences))
    hyper = slow_grid.Hyper(lr=2.0**power, epsilon=0.01, tau=0.5, tau_squared=literal)
    weights, grid = tensor.weights(), Grid(np.array([-23]))
    try:
        moved, zeros = slow_grid.step([tensor], updates, hyper)
    except slow_grid.LeavesGridError:
        before = weights.tobytes()
        with pytest.raises(GridError, match="parameter '0' would reach"):
            apply_updates_(
                [weights], updates, hyper.lr, epsilon=0.01, tau=0.5, tau_squared=literal, grid=grid
            )
        assert weights.tobytes() == before
        assert grid.exponents.tolist() == [-23]
        return
    report = apply_updates_(
        [weights], updates, hyper.lr, epsilon=0.01, tau=0.5, tau_squared=literal, grid=grid
    )
    assert weights.tobytes() == moved[0].weights().tobytes()
    assert grid.exponents.tolist() == [moved[0].e]
    assert report.zero_share == zeros / len(ks)


@pytest.mark.parametrize("omega", [(1.0,) * 5, (0.5, 0.25, 0.125, 0.0625, 0.0625)])
def test_weights_enter_as_rule_6_says(omega: tuple[float, ...]) -> None:
    tensors, updates = some_tensors(), some_updates(5)
    exact = [slow_grid.snap(t.tolist()) for t in tensors]
    moved, _ = slow_grid.step(exact, updates, slow_grid.Hyper(lr=0.01, omega=omega))
    apply_updates_(tensors, updates, 0.01, epsilon=1e-3, omegas=omega, grid=snap_(tensors))
    assert bits(tensors) == bits([t.weights() for t in moved])


def test_the_order_of_a_list_changes_no_bit() -> None:
    updates = some_updates(5)
    ends = set()
    for order in itertools.islice(itertools.permutations(updates), 0, 120, 7):
        tensors = some_tensors()
        apply_updates_(tensors, order, 0.2, epsilon=1e-3, grid=snap_(tensors))
        ends.add(tuple(bits(tensors)))
    assert len(ends) == 1


def test_the_same_order_of_plain_additions_would_have_changed_bits() -> None:
    """The law above says something: one by one, fp32 gives other bits in another order."""
    updates = some_updates(5)
    ends = set()
    for order in (updates, updates[::-1]):
        tensors = some_tensors()
        for seed, difference in order:
            perturb_(tensors, seed, 10 * difference)
        ends.add(tuple(bits(tensors)))
    assert len(ends) == 2


@given(st.integers(0, 1000), st.integers(1, 9), st.floats(1e-6, 0.02))
@example(seed=7, n=1, lr=1e-6)  # every increment rounds to zero
@settings(max_examples=30)
def test_the_negated_list_undoes_a_list(seed: int, n: int, lr: float) -> None:
    tensors = some_tensors(seed)
    grid = snap_(tensors)
    before, exponents = bits(tensors), grid.exponents.tolist()
    updates = some_updates(n, seed)
    c = coefficients([d for _, d in updates], lr=lr, rho=grid.radius(1e-3))
    update = fixed_point([s for s, _ in updates], c)
    list_pass(parameters(tensors), update, grid, widen=False)()
    assert bits(tensors) != before or max(map(abs, c)) < 2.0 ** max(exponents)
    list_pass(parameters(tensors), update.negated(), grid, widen=False)()
    assert bits(tensors) == before
    assert grid.exponents.tolist() == exponents


def test_without_widening_weights_may_pass_2_to_the_23_and_come_back() -> None:
    weights = np.array([0.9999999, -0.9999999], np.float32)
    grid = snap_([weights])
    before = weights.tobytes()
    update = fixed_point([1], [0.5])
    list_pass(parameters([weights]), update, grid, widen=False)()
    assert abs(weights).max() > 1.0
    assert grid.exponents.tolist() == [-23]
    list_pass(parameters([weights]), update.negated(), grid, widen=False)()
    assert weights.tobytes() == before


def test_a_step_off_the_grid_is_an_error_before_any_weight_changes() -> None:
    """GIVEN a second tensor that would leave, THEN the first, which would not, stays as it is."""
    tensors = [np.full(50_000, 100.0, np.float32), np.full(300, 0.1, np.float32)]
    grid = snap_(tensors)
    before, exponents = bits(tensors), grid.exponents.tolist()
    with pytest.raises(GridError, match=r"parameter '1' would reach.*no weight has changed.*lr"):
        apply_updates_(tensors, [(3, 0.002)], 1.0, epsilon=1e-3, grid=grid)
    assert bits(tensors) == before
    assert grid.exponents.tolist() == exponents


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
@pytest.mark.parametrize("lr", [1e-6, 1.0])
def test_a_weight_that_left_the_grid_by_other_hands_is_an_error(bad: float, lr: float) -> None:
    tensors = [np.full(30, 0.1, np.float32)]
    grid = snap_(tensors)
    tensors[0][7] = bad
    with pytest.raises(GridError, match="parameter '0' holds a weight that is not on its grid"):
        apply_updates_(tensors, [(3, 0.1)], lr, epsilon=1e-3, grid=grid)


@pytest.mark.parametrize("lr", [1e9, 1e30, 1e200, 1e300])
def test_an_absurd_rate_is_a_grid_error_and_changes_nothing(lr: float) -> None:
    tensors = some_tensors()
    grid = snap_(tensors)
    before = bits(tensors)
    with pytest.raises(GridError, match="lower lr"):
        apply_updates_(tensors, some_updates(3), lr, epsilon=1e-3, grid=grid)
    assert bits(tensors) == before


def test_a_zero_gradient_changes_nothing_and_says_so() -> None:
    tensors = some_tensors()
    grid = snap_(tensors)
    before = bits(tensors)
    report = apply_updates_(tensors, [(1, 0.0), (2, 0.0)], 1.0, epsilon=1e-3, grid=grid)
    assert bits(tensors) == before
    assert report.zero_share == 1.0


def test_a_modules_tensors_are_those_of_a_list() -> None:
    """Server in torch, client in NumPy: the same bits."""
    module = torch.nn.Linear(20, 9)
    arrays = [p.detach().numpy().copy() for p in module.parameters()]
    for params in (module, arrays):
        apply_updates_(params, some_updates(4), 0.01, epsilon=1e-3, grid=snap_(params))
    assert bits([p.detach().numpy() for p in module.parameters()]) == bits(arrays)


# --- plain mode ----------------------------------------------------------------------------------


def in_float64(tensors: Sequence[Array], updates: Updates, step: float) -> list[Array]:
    """w - step sum_j dL_j z_j."""
    moved = []
    for number, w in enumerate(tensors):
        z = np.array([slow_stream.signs(seed, number, w.size) for seed, _ in updates])
        moved.append(w.astype(np.float64) - step * (np.array([d for _, d in updates]) @ z))
    return moved


@pytest.mark.parametrize("kernel", ["numpy", "c", "torch"])
@pytest.mark.parametrize(("literal", "factor"), [(True, 0.75**2), (False, 1.0)])
def test_plain_mode_is_close_to_float64(kernel: str, literal: bool, factor: float) -> None:
    tensors, updates = some_tensors(), some_updates(6)
    step = 0.01 * factor / 6 / (2 * 1e-3 * 0.75)
    exact = in_float64(tensors, updates, step)
    before = [t.copy() for t in tensors]
    with kernels.force_kernel(kernel):
        apply_updates_(tensors, updates, 0.01, epsilon=1e-3, tau=0.75, tau_squared=literal)
    for w, old, truth in zip(tensors, before, exact, strict=True):
        # one rounding of the sum to fp32 and one of the weight, 24 bits each
        bound = 2.0**-24 * (np.abs(truth) + 3 * np.abs(truth - old)) + 1e-12
        assert (np.abs(w - truth) <= bound).all()


@pytest.mark.parametrize("distribution", ["gaussian", "sphere"])
def test_other_distributions_descend_along_their_own_directions(distribution: str) -> None:
    tensors, moved = some_tensors(), some_tensors()
    updates = some_updates(2)
    apply_updates_(moved, updates, 0.01, epsilon=1e-3, distribution=distribution)
    for seed, difference in updates:
        scale = -0.01 * difference / (2 * 1e-3) / 2
        perturb_(tensors, seed, scale, distribution=distribution)
    assert bits(tensors) == bits(moved)


@pytest.mark.parametrize("distribution", ["gaussian", "sphere"])
def test_a_grid_admits_rademacher_alone_in_the_step_too(distribution: str) -> None:
    tensors = some_tensors()
    grid = snap_(tensors)
    before = bits(tensors)
    with pytest.raises(ValueError, match="grid"):
        apply_updates_(
            tensors, some_updates(2), 0.01, epsilon=1e-3, grid=grid, distribution=distribution
        )
    assert bits(tensors) == before


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_grid", [True, False])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"updates": []}, "updates is empty"),
        ({"updates": [(1, float("nan"))]}, "update 0 has dL = nan"),
        ({"updates": [(1, 0.1), (2, float("inf"))]}, "update 1 has dL = inf"),
        ({"updates": [(-1, 0.1)]}, "seed must be"),
        ({"omegas": [1.0]}, "omegas must have one entry for each of 2"),
        ({"epsilon": 0.0}, "epsilon must be > 0"),
        ({"epsilon": -1e-3}, "epsilon must be > 0"),
        ({"epsilon": float("nan")}, "epsilon must be > 0"),
        ({"tau": 0.0}, "tau must be > 0"),
        ({"lr": float("nan")}, "lr"),
    ],
)
def test_bad_input_is_an_error_that_names_it_and_changes_nothing(
    on_grid: bool, change: dict[str, object], message: str
) -> None:
    tensors = some_tensors()
    grid = snap_(tensors) if on_grid else None
    before = bits(tensors)
    arguments = {"updates": [(1, 0.1), (2, -0.1)], "lr": 0.1, "epsilon": 1e-3, "grid": grid}
    with pytest.raises(ValueError, match=message):
        apply_updates_(tensors, **{**arguments, **change})  # type: ignore[arg-type]
    assert bits(tensors) == before


# --- ZOSGD ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_grid", [True, False])
def test_zosgd_descends_a_parabola(on_grid: bool) -> None:
    target = np.linspace(-0.4, 0.4, 12, dtype=np.float32)
    w = np.zeros(12, np.float32)
    grid = snap_([w]) if on_grid else None
    optimizer = ZOSGD([w], lr=0.05, epsilon=1e-3, directions=4, run_seed=3, grid=grid)
    losses = []

    def loss() -> float:
        return 0.5 * float(((w.astype(np.float64) - target) ** 2).sum())

    for _ in range(150):
        losses.append(loss())
        optimizer.step(loss)
    assert loss() < 0.01 * losses[0]
    assert optimizer.steps_taken == 150


def test_zosgds_steps_can_be_replayed_from_their_scalars() -> None:
    w = np.linspace(-1, 1, 30, dtype=np.float32)
    copy = w.copy()
    grid, other = snap_([w]), snap_([copy])
    optimizer = ZOSGD([w], lr=0.02, epsilon=1e-3, tau=0.5, directions=3, run_seed=8, grid=grid)
    for _ in range(10):
        updates = optimizer.step(lambda: float(np.square(w, dtype=np.float64).sum()))
        assert len(updates) == 3
        assert all(d == float(np.float32(d)) and math.isfinite(d) for _, d in updates)
        apply_updates_([copy], updates, 0.02, epsilon=1e-3, tau=0.5, grid=other)
    assert copy.tobytes() == w.tobytes()
