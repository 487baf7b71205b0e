"""A replay that starts from a perturbed point: the bits of restoring, then replaying."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import numpy as np
import pytest

from zo_core import kernels
from zo_core.kernels.resumable_pass import Journal
from zo_core.kernels.selection import unavailable_reason
from zo_core.parameters import Span, parameters

SIZES = (0, 1, 31, 33, 127, 129, 2_047, 2_048, 2_049, 70_001)
RHO = 2.0**-13
E = -26


def arithmetics() -> list[str]:
    """Each kernel, that in C once for each of its arithmetics; the reference is the last."""
    in_c = [] if unavailable_reason("c") else importlib.import_module("zo_core.kernels._cpu")
    names = [f"c:{index}" for index in range(len(in_c.arithmetics()))] if in_c else []
    return [*names, *([] if unavailable_reason("torch") else ["torch"]), "numpy"]


@pytest.fixture(params=arithmetics())
def kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    name, _, index = request.param.partition(":")
    if index:
        importlib.import_module("zo_core.kernels._cpu").use_arithmetic(int(index))
    with kernels.force_kernel(name):
        yield name
    if index:
        importlib.import_module("zo_core.kernels._cpu").use_arithmetic(0)


def in_two_passes(arrays, terms, update, exponents):
    """The reference: perturb, then replay, by the kernel in NumPy."""
    with kernels.force_kernel("numpy"):
        kernels.perturb(parameters(arrays), terms)
        return arrays, kernels.replay(parameters(arrays), update, exponents)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 30])
def test_on_the_grid(kernel, n, weights, update, same_bits):
    """Back along a direction of the list and along another one, by one thread and by two."""
    exponents = [E - index % 2 for index in range(len(SIZES))]
    step = update(n, E - 20)
    for seed in (99, *step.seeds[-1:].tolist()):
        back = [(seed, -RHO)]
        expected, stats = in_two_passes(weights(SIZES), back, step, exponents)
        for threads in (1, 2):
            arrays = weights(SIZES)
            found = kernels.replay(parameters(arrays), step, exponents, threads=threads, back=back)
            assert same_bits(arrays, expected)
            assert found == stats


@pytest.mark.parametrize("n", [1, 3, 9])
def test_in_plain_mode(kernel, n, weights, update, same_bits):
    terms = [(5, -1e-3), (6, 0.1)]
    expected, stats = in_two_passes(weights(SIZES), terms, update(n, -40), None)
    arrays = weights(SIZES)
    assert kernels.replay(parameters(arrays), update(n, -40), None, back=terms) == stats
    assert same_bits(arrays, expected)


@pytest.mark.parametrize("shift", [-3, 0, 1, 2, 14, 29, 30, 31, 32, 70])
def test_at_every_shift(kernel, shift, weights, update, same_bits):
    for n in (1, 4):
        step = update(n, E - shift)
        terms = [(int(step.seeds[0]), RHO)]
        expected, stats = in_two_passes(weights((1, 5_000)), terms, step, [E] * 2)
        arrays = weights((1, 5_000))
        assert kernels.replay(parameters(arrays), step, [E] * 2, back=terms) == stats
        assert same_bits(arrays, expected)


@pytest.mark.parametrize("n", [1, 3])
def test_weights_that_are_not_on_the_grid(kernel, n, update, same_bits):
    """Zeros of both signs, halves of a quantum, and what no grid contains."""
    odd = [0.0, -0.0, 1.5 * 2.0**E, -0.5 * 2.0**E, 2.0**4, -(2.0**5), np.inf, -np.inf, np.nan]
    step = update(n, E - 12)

    def arrays():
        return [np.array(odd * 40, np.float32), np.linspace(-1, 1, 3_001, dtype=np.float32)]

    expected, stats = in_two_passes(arrays(), [(7, 0.0)], step, [E] * 2)
    given = arrays()
    assert kernels.replay(parameters(given), step, [E] * 2, back=[(7, 0.0)]) == stats
    assert same_bits(given, expected)


def test_looking_changes_nothing(kernel, weights, update, same_bits):
    _, stats = in_two_passes(weights(SIZES), [(5, RHO)], update(3, E - 9), [E] * len(SIZES))
    arrays = weights(SIZES)
    found = kernels.replay(
        parameters(arrays), update(3, E - 9), [E] * len(SIZES), write=False, back=[(5, RHO)]
    )
    assert found == stats
    assert same_bits(arrays, weights(SIZES))


@pytest.mark.parametrize("start", [1, 32, 100, 1_999, 2**32 * 128 - 64])
def test_a_piece_that_starts_within_a_tensor(kernel, start, update):
    """In steps of two as well, which the kernel in C copies out and back."""
    for stride in (1, 2):
        found = []
        for name in ("numpy_ref", {"c": "cpu", "torch": "torch_ops"}.get(kernel, "numpy_ref")):
            module = importlib.import_module(f"zo_core.kernels.{name}")
            weights = np.arange(-3_000, 3_000, dtype=np.float32) * np.float32(2.0**E)
            table = module.prepare([Span(weights[::stride], tensor_index=3, start=start)])
            arguments = (table, update(2, E - 20), [E] * 4, True, 1)
            stats = module.replay(*arguments, back=[(8, RHO)], journal=Journal())
            found.append((stats, weights.tobytes()))
        assert found[0] == found[1]
