"""Each of the C kernels' arithmetics gives the reference's bits on this processor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from zo_core import kernels
from zo_core.kernels.resumable_pass import Journal
from zo_core.kernels.selection import unavailable_reason
from zo_core.parameters import Span, parameters

if unavailable_reason("c"):
    pytest.skip(str(unavailable_reason("c")), allow_module_level=True)

from zo_core.kernels import _cpu, cpu, numpy_ref

NAMES = _cpu.arithmetics()


@pytest.fixture(params=range(len(NAMES)), ids=NAMES)
def chosen(request: pytest.FixtureRequest) -> Iterator[int]:
    _cpu.use_arithmetic(request.param)
    yield request.param
    _cpu.use_arithmetic(0)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 9, 15, 16, 17, 30])
def test_any_number_of_directions(chosen, n, weights, update, same_bits) -> None:
    sizes = (0, 1, 31, 33, 127, 129, 2_047, 2_048, 2_049, 5_000)
    exponents = [-26] * len(sizes)
    for name in ("numpy", "c"):
        with kernels.force_kernel(name):
            arrays = weights(sizes)
            stats = kernels.replay(parameters(arrays), update(n, -40), exponents, threads=2)
        if name == "numpy":
            expected, expected_stats = arrays, stats
    assert same_bits(arrays, expected)
    assert stats == expected_stats


@pytest.mark.parametrize("start", [1, 32, 100, 128, 1_999, 2**32 * 128 - 64])
def test_a_piece_that_starts_within_a_tensor(chosen, start, update) -> None:
    """The last one crosses the block whose number needs a second word."""
    found = []
    for kernel in (numpy_ref, cpu):
        array = np.linspace(-1, 1, 3_001, dtype=np.float32)
        table = kernel.prepare([Span(array=array, tensor_index=3, start=start)])
        kernel.replay(table, update(11, -40), None, True, 1, journal=Journal())
        found.append(array.tobytes())
    assert found[0] == found[1]


def test_an_arithmetic_that_is_not_there_is_refused() -> None:
    for index in (-1, len(NAMES)):
        with pytest.raises(IndexError, match="no arithmetic"):
            _cpu.use_arithmetic(index)
