"""float16, bfloat16 and float64, which know plain mode only."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zo_core import kernels
from zo_core.directions import rademacher
from zo_core.parameters import parameters

TERMS = [(5, 1e-3), (2**64 - 1, -0.3)]


def arrays_of(dtype):
    rng = np.random.default_rng(1)
    flat = [(rng.standard_normal(n) * 0.02).astype(dtype) for n in (1, 33, 129, 20_000)]
    return [*flat, (rng.standard_normal((40, 30)) * 0.02).astype(dtype)[:, ::2]]


@pytest.mark.parametrize("distribution", kernels.DISTRIBUTIONS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_torch_perturbs_to_the_references_bits(dtype, distribution, same_bits):
    expected, got = arrays_of(dtype), arrays_of(dtype)
    with kernels.force_kernel("numpy"):
        kernels.perturb(parameters(expected), TERMS, distribution)
    with kernels.force_kernel("torch"):
        kernels.perturb(parameters(got), TERMS, distribution)
    assert same_bits(got, expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_torch_replays_to_the_references_bits(dtype, update, same_bits):
    expected, got = arrays_of(dtype), arrays_of(dtype)
    with kernels.force_kernel("numpy"):
        stats = kernels.replay(parameters(expected), update(30, -40), None)
    with kernels.force_kernel("torch"):
        assert kernels.replay(parameters(got), update(30, -40), None) == stats
    assert same_bits(got, expected)
    assert np.isfinite(got[3]).all()  # float16 holds neither the sums nor 2^-30


def test_bfloat16_adds_the_rounded_scale_and_rounds_once():
    weights = torch.linspace(-1, 1, 999).to(torch.bfloat16)
    before, scale = weights.clone(), torch.tensor(1e-3, dtype=torch.bfloat16)
    kernels.perturb(parameters([weights]), [(7, 1e-3)])
    z = torch.from_numpy(rademacher(7, 0, 999).astype(np.float32))
    assert torch.equal(weights, (before.float() + z * scale.float()).to(torch.bfloat16))


def test_bfloat16_replays_the_sum_with_one_rounding(update):
    weights = torch.linspace(-1, 1, 999).to(torch.bfloat16)
    wide = weights.float()
    kernels.replay(parameters([weights]), update(30, -33), None)
    kernels.replay(parameters([wide]), update(30, -33), None)
    assert torch.equal(weights, wide.to(torch.bfloat16))


def test_torch_rounds_and_finds_maxima_like_the_reference():
    (array,) = [np.linspace(-3, 3, 40_001, dtype=np.float32)]
    tensor = torch.from_numpy(array.copy())
    for span in parameters([array]).spans:
        with kernels.force_kernel("torch"):
            largest = kernels.max_abs(span)
        kernels.round_to_quantum(span, 0.25)
    from zo_core.kernels import torch_ops
    from zo_core.parameters import Span

    span = Span(tensor, 0, 0)
    assert torch_ops.max_abs(span) == largest == 3.0
    torch_ops.round_to_quantum(span, 0.25)
    assert tensor.numpy().tobytes() == array.tobytes()
