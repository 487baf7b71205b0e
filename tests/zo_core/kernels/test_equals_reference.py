"""Each kernel gives the reference's bits, whatever the sizes, offsets, strides and threads."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from zo_core import kernels
from zo_core.directions import rademacher
from zo_core.kernels import numpy_ref
from zo_core.kernels.resumable_pass import Journal
from zo_core.kernels.selection import unavailable_reason
from zo_core.parameters import Span, parameters

FAST = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(bool(unavailable_reason(name)), reason=unavailable_reason(name)),
    )
    for name in ("c", "torch")
]
TERMS = [[(5, 1e-3)], [(2**64 - 1, 0.1), (7, -0.3)], [(1, 0.1), (2, 0.2), (3, -0.0)]]


def perturbed(name, arrays, terms, threads=1):
    with kernels.force_kernel(name):
        kernels.perturb(parameters(arrays), terms, threads=threads)
    return arrays


def replayed(name, arrays, update, exponents, *, write=True, threads=1):
    with kernels.force_kernel(name):
        stats = kernels.replay(parameters(arrays), update, exponents, write=write, threads=threads)
    return arrays, stats


def on_span(name, span):
    """The kernel module of a name, and its table of one span from anywhere in the stream."""
    module = {"c": "cpu", "torch": "torch_ops", "numpy": "numpy_ref"}[name]
    kernel = importlib.import_module(f"zo_core.kernels.{module}")
    return kernel, kernel.prepare([span])


@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("name", FAST)
def test_perturb_of_odd_sizes(name, terms, weights, same_bits):
    expected = perturbed("numpy", weights(), terms)
    assert same_bits(perturbed(name, weights(), terms), expected)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 30])
@pytest.mark.parametrize("name", FAST)
def test_replay_of_odd_sizes(name, n, weights, update, same_bits):
    sizes = (0, 1, 31, 33, 127, 129, 2_047, 2_049)
    exponents = [-26 - (index % 3) for index in range(len(sizes))]
    expected, stats = replayed("numpy", weights(sizes), update(n, -40), exponents)
    got, found = replayed(name, weights(sizes), update(n, -40), exponents)
    assert same_bits(got, expected)
    assert found == stats


@pytest.mark.parametrize("e_less_f", [-40, -33, -1, 0, 1, 2, 14, 29, 30, 31, 32, 33, 70])
@pytest.mark.parametrize("name", FAST)
def test_replay_at_every_shift(name, e_less_f, weights, update, same_bits):
    sizes, e = (1, 129, 5_000), -24
    expected, stats = replayed("numpy", weights(sizes, e), update(9, e - e_less_f), [e] * 3)
    for write in (False, True):
        got, found = replayed(
            name, weights(sizes, e), update(9, e - e_less_f), [e] * 3, write=write
        )
        assert found == stats
        assert same_bits(got, expected if write else weights(sizes, e))


@pytest.mark.parametrize("e", [-149, -127, 100])
def test_replay_at_the_ends_of_fp32(e, weights, update, same_bits):
    expected, stats = replayed("numpy", weights((300,), e), update(3, e - 20), [e])
    got, found = replayed("c", weights((300,), e), update(3, e - 20), [e])
    assert found == stats
    assert same_bits(got, expected)


@pytest.mark.parametrize("f", [-160, -60, -35, 20])
@pytest.mark.parametrize("name", FAST)
def test_plain_replay(name, f, weights, update, same_bits):
    expected, stats = replayed("numpy", weights(), update(30, f), None)
    got, found = replayed(name, weights(), update(30, f), None)
    assert same_bits(got, expected)
    assert found == stats


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_threads_change_no_bit(threads, weights, update, same_bits):
    # 10^6 + 3 elements are enough work for several threads, 70 lie in another tensor.
    sizes = (1_000_003, 70)
    assert same_bits(
        perturbed("c", weights(sizes), TERMS[1], threads),
        perturbed("numpy", weights(sizes), TERMS[1]),
    )
    expected, stats = replayed("c", weights(sizes), update(30, -44), [-26, -26], threads=1)
    got, found = replayed("c", weights(sizes), update(30, -44), [-26, -26], threads=threads)
    assert same_bits(got, expected)
    assert found == stats


def test_replay_of_150_directions_of_a_million(weights, update, same_bits):
    sizes = (100_003,)
    expected, stats = replayed("numpy", weights(sizes), update(150, -44), [-26])
    got, found = replayed("c", weights(sizes), update(150, -44), [-26], threads=2)
    assert same_bits(got, expected)
    assert found == stats


@pytest.mark.parametrize("tensor_index", [0, 2**31, 2**32 - 1])
@pytest.mark.parametrize("start", [0, 1, 77, 127, 128, 5_000, 2**39 - 300, 2**45 + 3])
@pytest.mark.parametrize("name", FAST)
def test_pieces_start_anywhere(name, start, tensor_index, weights):
    # 2^39 elements are 2^32 blocks: the counter's second word is reached on the way.
    (array,) = weights((1_111,))
    expected = array.copy()
    numpy_ref.perturb(
        [Span(expected, tensor_index, start)], TERMS[1], rademacher, 1, journal=Journal()
    )
    kernel, table = on_span(name, Span(array, tensor_index, start))
    kernel.perturb(table, TERMS[1], rademacher, 2, journal=Journal())
    assert array.tobytes() == expected.tobytes()


@pytest.mark.parametrize("start", [0, 77, 2**39 - 300])
@pytest.mark.parametrize("name", FAST)
def test_replayed_pieces_start_anywhere(name, start, weights, update):
    (array,) = weights((1_111,))
    expected = array.copy()
    span = Span(expected, 0, start)
    (stats,) = numpy_ref.replay([span], update(3, -44), [-26], True, 1, journal=Journal())
    kernel, table = on_span(name, Span(array, 0, start))
    assert kernel.replay(table, update(3, -44), [-26], True, 2, journal=Journal()) == [stats]
    assert array.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ["numpy", *FAST])
def test_strided_tensors_are_walked_in_row_major_order(name, update):
    def views():
        rng = np.random.default_rng(3)
        base = np.ldexp(rng.integers(-(2**22), 2**22, (40, 50, 3, 5)).astype(np.float32), -26)
        return [base.transpose(3, 1, 0, 2), base[:, ::7, 1], base[3, 4, 2, ::2], base[::3]]

    for index in range(4):
        view, flat = views()[index], views()[index].copy()
        _, stats = replayed("numpy", [flat], update(9, -44), [-26])
        _, found = replayed(name, [view], update(9, -44), [-26], threads=2)
        perturbed("numpy", [flat], TERMS[1])
        perturbed(name, [view], TERMS[1])
        assert np.array_equal(view, flat)
        assert found == stats


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e30])
@pytest.mark.parametrize("name", ["numpy", *FAST])
def test_a_weight_that_left_the_grid_is_told(name, bad, update):
    array = np.zeros(300, dtype=np.float32)
    array[137] = bad
    _, (stats,) = replayed(name, [array], update(3, -44), [-26], write=False)
    assert stats.max_abs_k == numpy_ref.OFF_GRID


@pytest.mark.parametrize("name", ["numpy", *FAST])
def test_minus_zero_becomes_plus_zero_on_the_grid(name):
    # GIVEN a weight of -0, which perturb and restore would turn into +0
    array = np.array([-0.0, -(2.0**-30), 1.0], dtype=np.float32)
    with kernels.force_kernel(name):
        for span in parameters([array]).spans:
            kernels.round_to_quantum(span, 2.0**-26)
    assert not np.signbit(array).any()
    assert array.tolist() == [0.0, 0.0, 1.0]
