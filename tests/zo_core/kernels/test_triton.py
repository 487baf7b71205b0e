"""The Triton kernels on Triton's CPU interpreter, which must be switched on before the import."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from optional import needs

pytestmark = [pytest.mark.process, pytest.mark.slow]

CHILD = """
import numpy as np
from zo_core import kernels
from zo_core.fixed_point import FixedPointUpdate
from zo_core.kernels import numpy_ref, triton_ops
from zo_core.kernels.resumable_pass import Journal
from zo_core.parameters import Span, parameters
from zo_core.directions import rademacher

SIZES = (1, 33, 129, 2_500)

def weights():
    rng = np.random.default_rng(1)
    return [np.ldexp(rng.integers(-2**23, 2**23, n).astype(np.float32), -26) for n in SIZES]

def same(act):
    results = []
    for name in ("numpy", "triton"):
        arrays = weights()
        with kernels.force_kernel(name):
            told = act(parameters(arrays))
        results.append((told, [array.tobytes() for array in arrays]))
    assert results[0] == results[1], act

def update(n, f):
    rng = np.random.default_rng(n)
    a = rng.integers(-(2**30 // n), 2**30 // n, n).astype(np.int32)
    return FixedPointUpdate(rng.integers(0, 2**64, n, dtype=np.uint64), a, f)

for terms in ([(5, 1e-3)], [(2**64 - 1, 0.1), (7, -0.3)], [(1, 0.1), (2, 0.2), (3, 0.3)]):
    same(lambda params: kernels.perturb(params, terms))
for h in (-33, -2, 0, 1, 14, 31, 32):
    same(lambda p: kernels.replay(p, update(2, -26 - h), [-26] * 4))
same(lambda p: kernels.replay(p, update(2, -40), [-26] * 4, write=False))
same(lambda p: kernels.replay(p, update(5, -44), [-26, -25, -26, -24]))
same(lambda p: kernels.replay(p, update(5, -33), None))

# Off the start of a tensor, beyond 2^32 blocks, several tiles a program, a weight off the grid.
triton_ops.MAX_PROGRAMS = 2
for start in (77, 2**39 - 300):
    (expected,), (got,) = ([np.append(weights()[3], np.float32("nan"))] for _ in range(2))
    span = Span(expected, 2**32 - 1, start)
    numpy_ref.perturb([span], [(9, 0.5)], rademacher, 1, journal=Journal())
    tables = triton_ops.prepare([Span(got, 2**32 - 1, start)])
    triton_ops.perturb(tables, [(9, 0.5)], rademacher, 1, journal=Journal())
    assert got.tobytes() == expected.tobytes()
    span = Span(expected, 0, start)
    stats = numpy_ref.replay([span], update(2, -44), [-26], False, 1, journal=Journal())
    tables = triton_ops.prepare([Span(got, 0, start)])
    assert triton_ops.replay(tables, update(2, -44), [-26], False, 1, journal=Journal()) == stats

# A pass that is called again after an interrupt finishes each launch, and repeats none.
class Interrupted:
    # before its first launch and after its second
    def __init__(self, kernel):
        self.kernel, self.calls = kernel, 0

    def __getitem__(self, grid):
        def launch(*args, **options):
            self.calls += 1
            if self.calls == 1:
                raise KeyboardInterrupt
            self.kernel[grid](*args, **options)
            if self.calls == 2:
                raise KeyboardInterrupt
        return launch

triton_ops.triton_kernels.perturb = Interrupted(triton_ops.triton_kernels.perturb)
triton_ops.triton_kernels.replay = Interrupted(triton_ops.triton_kernels.replay)
for make in (
    lambda params: kernels.perturb_pass(params, [(1, 0.1), (2, 0.2), (3, 0.3)]),
    lambda params: kernels.replay_pass(params, update(2, -44), [-26] * 4),
):
    def whole(params):
        run = make(params)
        for _ in range(2 if kernels.selection._forced == "triton" else 0):
            try:
                run()
            except KeyboardInterrupt:
                continue
            raise AssertionError("not interrupted")
        return run()
    same(whole)
"""


@needs("triton")
def test_triton_equals_the_reference_to_the_bit():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


COMPILED = """
import re, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from zo_core.kernels import triton_kernels

TABLE = {"row_of": "*i32", "rows": "*i64", "finished": "*i64", "number": "i32", "tiles": "i32"}
TERMS = {"k0": "i32", "k1": "i32", "scale": "fp32", "m0": "i32", "m1": "i32", "second": "fp32"}
LIST = {"keys": "*i32", "a": "*i32", "n": "i32", "scales": "*fp64", "stats": "*i64"}

def ptx(kernel, types, constants):
    names = kernel.arg_names
    source = ASTSource(
        fn=kernel,
        signature={name: types.get(name, "constexpr") for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
    )
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4})
    return compiled.asm["ptx"]

def products(text):
    return len(re.findall(r"mul\\.(?:wide|hi)", text))

for terms in (1, 2):
    constants = {"TERMS": terms, "BLOCKS": 8, "SPAN": 32, "ALIGNED": True}
    text = ptx(triton_kernels.perturb, TABLE | TERMS, constants)
    assert products(text) <= 22 * terms, products(text)  # ten rounds of two
    assert "ld.global.v4" in text and "st.global.v4" in text
    assert "fma." not in text
for grid in (True, False):
    constants = {"GRID": grid, "WRITE": True, "SPAN": 32, "ALIGNED": True}
    text = ptx(triton_kernels.replay, TABLE | LIST, constants)
    assert products(text) <= 24, products(text)
    assert "fma." not in text
"""


@needs("triton")
def test_a_lane_computes_one_block_loads_four_elements_and_contracts_nothing(tmp_path):
    """Triton compiles for a GPU that is not there; its code shows what the lanes compute."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMPILED],
        env=os.environ | {"TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
