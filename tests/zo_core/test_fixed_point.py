"""From scalars to integers (zo-grid/1, rules 6 and 7), against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import slow_grid
from hypothesis import assume, given
from hypothesis import strategies as st

from zo_core.fixed_point import coefficients, fixed_point

SCALARS = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-8, max_value=8)
LISTS = st.lists(SCALARS, min_size=1, max_size=40)


def test_a_coefficient_by_hand() -> None:
    """c = -lr tau^2 (1/n) dL / (2 rho), all powers of two but dL = 3 and 5."""
    given = coefficients([3.0, -5.0], lr=0.5, rho=0.25, tau=0.5)
    assert given == [-0.5 * 0.25 * 0.5 * 3 / 0.5, 0.5 * 0.25 * 0.5 * 5 / 0.5]


def test_the_order_of_operations_is_rule_6s() -> None:
    """The last bits depend on it: ((lr s) (omega (dL / (2 rho)))), each in float64."""
    lr, tau, rho, weights = 0.1, 0.7, 7.5e-5, (0.3, 0.7)
    differences = [float(np.float32(0.12345)), float(np.float32(-1.1))]
    for literal, s in ((True, 0.7 * 0.7), (False, 1.0)):
        given = coefficients(
            differences, lr=lr, rho=rho, tau=tau, tau_squared=literal, omegas=weights
        )
        for c, omega, difference in zip(given, weights, differences, strict=True):
            g = Fraction(difference / (2.0 * rho))
            inner = float(Fraction(omega) * g)  # one rounding
            assert c == -float(Fraction(lr * s) * Fraction(inner))


@pytest.mark.parametrize("tau", [0.1, 0.75, 1.0])
def test_the_literal_step_is_tau_squared_times_the_normalised(tau: float) -> None:
    literal = coefficients([0.3, -0.7], lr=1.0, rho=0.5, tau=tau, tau_squared=True)
    normalised = coefficients([0.3, -0.7], lr=1.0, rho=0.5, tau=tau, tau_squared=False)
    assert literal == [tau * tau * c for c in normalised]


def test_the_mean_is_one_nth_and_the_sum_is_ones() -> None:
    differences = [0.5, -0.25, 2.0, 1.0]
    mean = coefficients(differences, lr=0.5, rho=0.5)
    total = coefficients(differences, lr=0.5, rho=0.5, omegas=[1.0] * 4)
    assert total == [4 * c for c in mean] == [-0.25, 0.125, -1.0, -0.5]


@given(LISTS, st.floats(1e-12, 1e6), st.floats(1e-6, 1.0))
def test_the_integers_are_those_of_exact_fractions(
    differences: list[float], lr: float, rho: float
) -> None:
    c = coefficients(differences, lr=lr, rho=rho)
    update = fixed_point(range(len(c)), c)
    a, f = slow_grid.integers(differences, rho, slow_grid.Hyper(lr=lr))
    assert update.a.tolist() == a
    assert update.f == f or not any(a)


@given(LISTS)
def test_the_integers_sum_fits_int32_and_keeps_29_bits_of_the_largest(c: list[float]) -> None:
    assume(any(c))
    update = fixed_point(range(len(c)), c)
    magnitudes = np.abs(update.a.astype(np.int64))
    assert magnitudes.sum() < 2**31
    assert len(c) * magnitudes.max() >= 2**29 - len(c)
    for exact, a in zip(c, update.a.tolist(), strict=True):
        assert abs(Fraction(exact) - a * Fraction(2) ** update.f) <= Fraction(2) ** (update.f - 1)


def test_the_worst_case_of_many_equal_coefficients_fits_int32() -> None:
    for c in (1.0, math.nextafter(1.0, 0), -math.nextafter(2.0, 0)):
        update = fixed_point(range(10_000), [c] * 10_000)
        assert np.abs(update.a.astype(np.int64)).sum() < 2**31


def test_no_coefficient_but_zero_gives_no_integer_but_zero() -> None:
    assert fixed_point([1, 2], [0.0, -0.0]).a.tolist() == [0, 0]


def test_a_list_and_its_negation_sum_to_nothing() -> None:
    update = fixed_point([5, 6, 2**64 - 1], [0.3, -0.7, 1e-9])
    back = update.negated()
    assert (update.a.astype(np.int64) + back.a).tolist() == [0, 0, 0]
    assert back.f == update.f
    assert back.seeds.tolist() == update.seeds.tolist() == [5, 6, 2**64 - 1]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_scalar_that_is_not_finite_is_an_error_that_names_it(bad: float) -> None:
    with pytest.raises(ValueError, match=r"update 1 has dL = (nan|-?inf); drop it"):
        coefficients([0.1, bad], lr=1.0, rho=0.5)


def test_weights_are_one_for_each_update() -> None:
    with pytest.raises(ValueError, match="omegas must have one entry for each of 2 updates"):
        coefficients([0.1, 0.2], lr=1.0, rho=0.5, omegas=[1.0])


@pytest.mark.parametrize("weights", [[1.0, float("nan")], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_a_coefficient_that_is_not_finite_is_an_error_with_a_way_out(weights: list[float]) -> None:
    c = coefficients([0.1, 0.2], lr=1.0, rho=0.5, omegas=weights)
    with pytest.raises(ValueError, match="not finite"):
        fixed_point([1, 2], c)


def test_seeds_are_one_for_each_coefficient() -> None:
    with pytest.raises(ValueError, match="seed"):
        fixed_point([1], [0.5, 0.5])


@pytest.mark.parametrize("seed", [-1, 1 << 64, 0.5])
def test_a_seed_out_of_range_is_an_error(seed: float) -> None:
    with pytest.raises(ValueError, match="seed must be"):
        fixed_point([seed], [1.0])  # type: ignore[list-item]


def test_a_list_of_2_to_the_24_directions_is_an_error() -> None:
    class Many(list[float]):
        def __len__(self) -> int:
            return 1 << 24

    with pytest.raises(ValueError, match=r"fewer than 2\^24 directions.*split"):
        fixed_point([], Many())
