"""Weights on the grid: snapping, the radius, widening (zo-grid/1, rules 1 to 4 and 9)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pytest
import slow_grid
import torch
from hypothesis import given
from hypothesis import strategies as st

from zo_core import Grid, GridError, apply_updates_, kernels, loss_differences, perturb_, snap_
from zo_core.digest import digest
from zo_core.models import build_model
from zo_core.parameters import parameters
from zo_core.seeds import derive_seed

Array = npt.NDArray[np.float32]
FLOATS = st.floats(
    width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**100), max_value=2.0**100
)


def f32(*values: float) -> Array:
    return np.array(values, dtype=np.float32)


# --- rule 2: snapping ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("largest", "e"),
    [
        (0.0, -26),  # b = -3
        (1e-30, -26),  # b is never below -3
        (0.0625, -26),
        (0.125 - 2.0**-27, -26),  # the last float32 below it: f just below 1 at b = -3
        (0.125, -25),  # 0.125 = 1/2 * 2^-2
        (0.5, -23),  # 1/2 * 2^0
        (0.75, -23),
        (1.0, -22),  # 1/2 * 2^1
        (3.0, -21),
        (1e6, -3),  # 2^19 < 1e6 < 2^20
        (1e30, 77),  # 2^99 < 1e30 < 2^100
        (2.0**126 - 2.0**102, 103),  # the largest there is
    ],
)
def test_the_exponent_is_that_of_the_largest_weight(largest: float, e: int) -> None:
    weights = np.array([0.0, -largest / 3, largest], dtype=np.float32)
    assert snap_([-weights]).exponents.tolist() == [e]
    assert snap_([weights]).exponents.tolist() == [e]


@given(st.lists(FLOATS, max_size=12))
def test_snapping_equals_exact_fractions(values: list[float]) -> None:
    weights = f32(*values)
    exact = slow_grid.snap(values)
    grid = snap_([weights])
    assert grid.exponents.tolist() == [exact.e]
    assert np.array_equal(weights, exact.weights())
    assert max(map(abs, exact.k), default=0) <= 1 << 23  # rule 1


def test_snapping_rounds_half_to_even() -> None:
    quantum = 2.0**-26
    weights = f32(0.1, 0.5 * quantum, 1.5 * quantum, 2.5 * quantum, -0.5 * quantum, -1.5 * quantum)
    snap_([weights])
    assert (weights[1:] / quantum).tolist() == [0.0, 2.0, 2.0, 0.0, -2.0]


def test_each_tensor_has_its_own_exponent_and_one_without_elements_the_least() -> None:
    grid = snap_([f32(0.01), f32(), f32(3.0), f32(200.0)])
    assert grid.exponents.tolist() == [-26, -26, -21, -15]
    assert grid.exponents.dtype == np.int32


def test_snapping_twice_is_snapping_once_and_minus_zero_becomes_zero() -> None:
    weights = np.append(np.random.default_rng(0).normal(0, 1, 500).astype(np.float32), f32(-0.0))
    snap_([weights])
    once = weights.tobytes()
    snap_([weights])
    assert weights.tobytes() == once
    assert not np.signbit(weights[-1])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 3e38])
@pytest.mark.parametrize("where", [0, 20_000, 39_999])
def test_a_weight_that_has_no_place_is_an_error_that_names_it_and_changes_nothing(
    bad: float, where: int
) -> None:
    first, second = np.full(7, 0.3, np.float32), np.full(40_000, 0.3, np.float32)
    second[where] = bad
    before = first.tobytes(), second.tobytes()
    with pytest.raises(GridError, match=r"parameter '1' holds a weight that is not finite.*; warm"):
        snap_([first, second])
    assert (first.tobytes(), second.tobytes()) == before


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_only_float32_has_a_grid(dtype: torch.dtype) -> None:
    model = torch.nn.Linear(3, 2).to(dtype)
    with pytest.raises(ValueError, match=r"parameter 'weight' is .*\.float\(\).*plain mode"):
        snap_(model)


def test_a_modules_grid_error_names_the_parameter_by_its_path() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    model[0].bias.data[1] = float("nan")
    with pytest.raises(GridError, match=r"'0\.bias'"):
        snap_(model)


def test_a_copy_of_a_grid_is_its_own() -> None:
    grid = Grid(np.array([-23, -22]))
    copied = grid.copy()
    copied.exponents += 1
    assert grid.exponents.tolist() == [-23, -22]


# --- rule 4: the radius --------------------------------------------------------------------------


@given(
    st.lists(st.integers(-26, 0), min_size=1, max_size=5),
    st.floats(1e-9, 10.0),
    st.floats(0.01, 2.0),
)
def test_the_radius_is_the_nearest_multiple_of_the_coarsest_quantum(
    exponents: list[int], epsilon: float, tau: float
) -> None:
    grid = Grid(np.array(exponents))
    exact = slow_grid.radius(exponents, epsilon, tau)
    if exact is None:
        with pytest.raises(GridError, match=r"tensor \d+.*(raise|lower) epsilon"):
            grid.radius(epsilon, tau)
    else:
        assert grid.radius(epsilon, tau) == float(exact)


@pytest.mark.parametrize(("halves", "steps"), [(3, 2), (5, 2), (7, 4), (2, 1)])
def test_the_radius_rounds_half_to_even(halves: int, steps: int) -> None:
    assert Grid(np.array([-20])).radius(halves * 2.0**-21) == steps * 2.0**-20


def test_half_a_quantum_rounds_to_zero_and_is_an_error_that_names_the_coarsest_tensor() -> None:
    grid = Grid(np.array([-26, -10, -26]))
    with pytest.raises(GridError, match=r"rounds to zero on tensor 1, .*2\^-10; raise epsilon"):
        grid.radius(2.0**-11)
    assert grid.radius(math.nextafter(2.0**-11, 1)) == 2.0**-10


def test_a_radius_beyond_the_finest_tensors_range_is_an_error_that_names_it() -> None:
    grid = Grid(np.array([-10, -26, -20]))
    assert grid.radius(0.125) == 0.125  # 2^23 * 2^-26, just within
    with pytest.raises(GridError, match=r"exceeds 2\^-3, the range of tensor 1; lower epsilon"):
        grid.radius(0.125 + 2.0**-10)


@pytest.mark.parametrize("huge", [1e300, 1.7e308])
def test_an_absurd_radius_is_a_grid_error_too(huge: float) -> None:
    for tau in (1.0, 1e300):
        with pytest.raises(GridError, match="lower epsilon"):
            Grid(np.array([-26])).radius(huge, tau)


@pytest.mark.parametrize("bad", [0.0, -1e-3, float("nan"), float("inf")])
def test_epsilon_and_tau_must_be_positive_and_finite(bad: float) -> None:
    grid = Grid(np.array([-23]))
    with pytest.raises(ValueError, match="epsilon must be > 0"):
        grid.radius(bad)
    with pytest.raises(ValueError, match="tau must be > 0"):
        grid.radius(1e-3, bad)


# --- perturbing and restoring --------------------------------------------------------------------


@given(st.lists(st.integers(-(2**23), 2**23), min_size=1, max_size=20), st.integers(1, 2**23))
def test_every_weight_within_the_invariant_comes_back_from_the_largest_radius(
    ks: list[int], steps: int
) -> None:
    weights = (np.array(ks) * 2.0**-23).astype(np.float32)
    before = weights.tobytes()
    for scale in (steps * 2.0**-23, -2 * steps * 2.0**-23, steps * 2.0**-23):
        perturb_([weights], 9, scale)
    assert weights.tobytes() == before


@pytest.mark.parametrize("name", ["resnet18", "vit"])
def test_fifty_cycles_leave_no_bit_different(name: str) -> None:
    model = build_model(name, in_channels=3, image_size=32, run_seed=1)
    numbered = parameters(model)
    grid = snap_(numbered)
    rho = grid.radius(1e-4, 0.75)
    before = digest(numbered, grid)
    for seed in range(25):
        perturb_(numbered, seed, rho)
        assert seed or digest(numbered, grid) != before
        perturb_(numbered, seed, -2 * rho)
        perturb_(numbered, seed, rho)
    loss_differences(lambda: 0.0, numbered, range(25, 50), epsilon=1e-4, tau=0.75, grid=grid)
    assert digest(numbered, grid) == before


# --- rule 9: widening ----------------------------------------------------------------------------


def nearly_full() -> list[Array]:
    rng = np.random.default_rng(3)
    return [rng.uniform(-0.999, 0.999, n).astype(np.float32) for n in (20_000, 5, 40_001)]


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


UPDATES = [
    (derive_seed(1, round_index=0, client_id=0, direction=d), float(np.float32(0.01 * (d - 3))))
    for d in range(8)
]


def widened(tensors: list[Array] | list[torch.Tensor], kernel: str, threads: int) -> bytes:
    grid = snap_(tensors)
    before = grid.exponents.copy()
    with torch_threads(threads), kernels.force_kernel(kernel):
        report = apply_updates_(tensors, UPDATES, 0.05, epsilon=1e-3, grid=grid)
    assert report.widened == ("0", "2")
    assert (grid.exponents - before).tolist() == [1, 0, 1]
    return digest(tensors, grid)


def test_widening_gives_the_same_bits_on_every_replica() -> None:
    """Whatever the kernel, the number of threads and the layout, which sets the chunks."""
    tensors = nearly_full()
    tensors[1] *= np.float32(0.3)
    tensors[1][0] = 0.51  # its largest: this one stays within
    reference = widened([t.copy() for t in tensors], "numpy", 1)
    assert widened([t.copy() for t in tensors], "c", 1) == reference
    assert widened([t.copy() for t in tensors], "c", 3) == reference
    assert widened([torch.from_numpy(t.copy()) for t in tensors], "torch", 2) == reference
    assert widened([np.repeat(t, 2)[::2] for t in tensors], "c", 2) == reference


def test_a_widened_tensor_is_halved_half_to_even() -> None:
    exact = [slow_grid.snap(t) for t in ([0.9999, 0.1, -0.9] * 4, [0.9999, -0.9999] * 4)]
    arrays = [t.weights() for t in exact]
    grid = snap_(arrays)
    hyper = slow_grid.Hyper(lr=0.05)
    moved, _ = slow_grid.step(exact, UPDATES, hyper)
    report = apply_updates_(arrays, UPDATES, hyper.lr, epsilon=hyper.epsilon, grid=grid)
    assert report.widened, "no tensor widened: this test proves nothing"
    assert grid.exponents.tolist() == [t.e for t in moved]
    assert [a.tolist() for a in arrays] == [t.weights().tolist() for t in moved]
