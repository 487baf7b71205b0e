"""Laws of the grid that must hold for every seed, list and shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zo_core import kernels
from zo_core.fixed_point import FixedPointUpdate
from zo_core.parameters import parameters
from zo_core.weight_grid import snap_

SEEDS = st.integers(0, 2**64 - 1)
SIZES = st.lists(st.integers(0, 700), min_size=1, max_size=4).filter(any)
QUICK = settings(max_examples=40)


def snapped(sizes, seed):
    """Weights of N(0, 0.05), some of them -0, put on the grid."""
    rng = np.random.default_rng(seed)
    arrays = [(rng.standard_normal(n) * 0.05).astype(np.float32) for n in sizes]
    for array in arrays:
        array[::5] = -0.0
    return arrays, snap_(arrays)


def random_update(n, seed, f=-47):
    rng = np.random.default_rng(seed)
    m = 2**30 // n
    a = rng.integers(-m, m + 1, n).astype(np.int32)
    return FixedPointUpdate(rng.integers(0, 2**64, n, dtype=np.uint64), a, f)


def image(arrays):
    return [array.tobytes() for array in arrays]


@QUICK
@given(sizes=SIZES, seed=SEEDS, epsilon=st.floats(1e-5, 0.1))
def test_perturb_then_restore_is_the_identity(sizes, seed, epsilon):
    arrays, grid = snapped(sizes, seed)
    before, rho = image(arrays), grid.radius(epsilon)
    params = parameters(arrays)
    kernels.perturb(params, [(seed, rho)])
    kernels.perturb(params, [(seed, -2 * rho)])
    kernels.perturb(params, [(seed, rho)])
    assert image(arrays) == before


@QUICK
@given(sizes=SIZES, seed=SEEDS, other=SEEDS)
def test_a_fused_pass_is_two_passes(sizes, seed, other):
    fused, _ = snapped(sizes, seed)
    apart, _ = snapped(sizes, seed)
    kernels.perturb(parameters(fused), [(seed, 1e-3), (other, 0.7)])
    kernels.perturb(parameters(apart), [(seed, 1e-3)])
    kernels.perturb(parameters(apart), [(other, 0.7)])
    assert image(fused) == image(apart)


@QUICK
@given(sizes=SIZES, seed=SEEDS, n=st.integers(1, 40), data=st.data())
def test_replay_does_not_depend_on_the_order_of_the_list(sizes, seed, n, data):
    update = random_update(n, seed)
    order = np.array(data.draw(st.permutations(range(n))))
    shuffled = FixedPointUpdate(update.seeds[order], update.a[order], update.f)
    first, grid = snapped(sizes, seed)
    second, _ = snapped(sizes, seed)
    stats = kernels.replay(parameters(first), update, grid.exponents)
    assert kernels.replay(parameters(second), shuffled, grid.exponents) == stats
    assert image(first) == image(second)


@QUICK
@given(size=st.integers(2, 3_000), seed=SEEDS, cut=st.floats(0, 1), threads=st.integers(1, 5))
def test_replay_does_not_depend_on_chunks_or_threads(size, seed, cut, threads):
    (whole,), grid = snapped([size], seed)
    parts = whole.copy()
    update = random_update(12, seed)
    kernels.replay(parameters([whole]), update, grid.exponents, threads=threads)
    # A strided view of a wider array is walked in other chunks than a flat one.
    wide = np.zeros((size, 2), dtype=np.float32)
    wide[:, 0] = parts
    kernels.replay(parameters([wide[:, 0]]), update, grid.exponents, threads=1)
    assert wide[:, 0].tobytes() == whole.tobytes()


@QUICK
@given(sizes=SIZES, seed=SEEDS, n=st.integers(1, 40))
def test_replay_by_the_negated_list_undoes_it(sizes, seed, n):
    arrays, grid = snapped(sizes, seed)
    before, update = image(arrays), random_update(n, seed)
    kernels.replay(parameters(arrays), update, grid.exponents)
    kernels.replay(parameters(arrays), update.negated(), grid.exponents)
    assert image(arrays) == before


@QUICK
@given(sizes=SIZES, seed=SEEDS, n=st.integers(1, 20), f=st.integers(-60, -30))
def test_a_dry_run_changes_nothing_and_tells_what_would_come(sizes, seed, n, f):
    arrays, grid = snapped(sizes, seed)
    before, update = image(arrays), random_update(n, seed, f)
    params = parameters(arrays)
    told = kernels.replay(params, update, grid.exponents, write=False)
    assert image(arrays) == before
    assert kernels.replay(params, update, grid.exponents) == told


@pytest.mark.parametrize("name", ["numpy", "c", "torch"])
def test_a_thousand_cycles_leave_every_bit(name):
    arrays, grid = snapped([257, 33], 5)
    before, rho = image(arrays), grid.radius(1e-3)
    params = parameters(arrays)
    try:
        with kernels.force_kernel(name):
            for seed in range(1_000 if name == "c" else 20):
                kernels.perturb(params, [(seed, rho)])
                kernels.perturb(params, [(seed, -2 * rho)])
                kernels.perturb(params, [(seed, rho)])
    except RuntimeError as missing:
        pytest.skip(str(missing))
    assert image(arrays) == before
