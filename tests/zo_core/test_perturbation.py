"""perturb_ adds scale * z in place: the reference's bits, any layout, no memory."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn
from zo_core_children import extra_bytes

import devices
from zo_core import directions, perturb_
from zo_core.perturbation import perturb_many_

SEED = 0x0123456789ABCDEF
SCALE = 1e-3
MIB = 1 << 20
Array = npt.NDArray[np.float32]


def normal(shape: int | tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(0, 0.05, shape).astype(np.float32)


def expected(weights: Array, tensor: int = 0, scale: float = SCALE) -> Array:
    """w + fl(scale) z with one rounding, element by element in row-major order."""
    z = directions.rademacher(SEED, tensor, weights.size).reshape(weights.shape)
    return weights + z * np.float32(scale)


@pytest.mark.parametrize("size", [1, 127, 128, 129, 10**6 + 3])
@pytest.mark.parametrize("threads", [1, 3])
def test_perturb_equals_the_reference_to_the_bit(size: int, threads: int) -> None:
    weights = normal(size)
    perturbed, module = weights.copy(), torch.from_numpy(weights.copy())
    perturb_([perturbed], SEED, SCALE, threads=threads)
    perturb_([module], SEED, SCALE, threads=threads)
    assert perturbed.tobytes() == expected(weights).tobytes()
    assert module.numpy().tobytes() == perturbed.tobytes()


def test_each_tensor_of_a_list_has_its_own_stretch_of_the_stream() -> None:
    before = [normal(5), normal((0,)), normal((3, 70)), normal(())]
    after = copy.deepcopy(before)
    perturb_(after, SEED, SCALE)
    for tensor, (old, new) in enumerate(zip(before, after, strict=True)):
        assert new.tobytes() == expected(old, tensor).tobytes()


TORCH_LAYOUTS: dict[str, Callable[[], torch.Tensor]] = {
    "transposed": lambda: torch.from_numpy(normal((300, 200))).t(),
    "permuted": lambda: torch.from_numpy(normal((6, 50, 70))).permute(2, 0, 1),
    "channels_last": lambda: torch.from_numpy(normal((8, 12, 20, 20))).contiguous(
        memory_format=torch.channels_last
    ),
    "strided": lambda: torch.from_numpy(normal((90, 400)))[::3, 5::2],
    "long strided": lambda: torch.from_numpy(normal(50_000))[::2],
}
NUMPY_LAYOUTS: dict[str, Callable[[], Array]] = {
    "fortran": lambda: np.asfortranarray(normal((300, 200))),
    "reversed": lambda: normal((300, 200))[::-1, ::-1],
    "strided": lambda: normal((90, 400))[::3, 5::2],
    "long strided": lambda: normal(50_000)[1::2],
    "swapped axes": lambda: normal((6, 50, 70)).swapaxes(0, 2),
}


@pytest.mark.parametrize("layout", TORCH_LAYOUTS)
def test_a_torch_tensors_layout_changes_no_bit(layout: str) -> None:
    tensor = TORCH_LAYOUTS[layout]()
    assert not tensor.is_contiguous()
    before = tensor.numpy().copy()
    perturb_([tensor], SEED, SCALE)
    assert tensor.contiguous().numpy().tobytes() == expected(before).tobytes()


@pytest.mark.parametrize("layout", NUMPY_LAYOUTS)
def test_an_arrays_layout_changes_no_bit(layout: str) -> None:
    array = NUMPY_LAYOUTS[layout]()
    assert not array.flags.c_contiguous
    before = np.ascontiguousarray(array)
    perturb_([array], SEED, SCALE)
    assert np.ascontiguousarray(array).tobytes() == expected(before).tobytes()


def test_what_lies_between_strided_elements_is_left_alone() -> None:
    base = normal((100, 300))
    before = base.copy()
    perturb_([base[::2, ::3]], SEED, SCALE)
    untouched = np.ones(base.shape, bool)
    untouched[::2, ::3] = False
    assert np.array_equal(base[untouched], before[untouched])


def test_tied_weights_move_once_and_frozen_ones_not() -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    model[2].requires_grad_(False)
    before, frozen = model[0].weight.detach().clone(), copy.deepcopy(model[2])
    perturb_(model, SEED, SCALE)
    assert torch.equal(model[0].weight, torch.from_numpy(expected(before.numpy())))
    assert torch.equal(model[2].weight, frozen.weight)


def test_several_terms_are_several_calls() -> None:
    terms = [(SEED, 0.25), (SEED, -0.5), (7, 1e-3), (8, -3.7)]
    for distribution in ("rademacher", "gaussian", "sphere"):
        one, many = [normal(1000), normal(33)], [normal(1000), normal(33)]
        perturb_many_(one, terms, distribution=distribution)
        for seed, scale in terms:
            perturb_(many, seed, scale, distribution=distribution)
        assert [w.tobytes() for w in one] == [w.tobytes() for w in many]


@pytest.mark.parametrize("distribution", ["gaussian", "sphere"])
def test_other_distributions_are_the_streams(distribution: str) -> None:
    before = [normal(700), normal((30, 7))]
    after = copy.deepcopy(before)
    perturb_(after, SEED, SCALE, distribution=distribution)
    factor = directions.sphere_factor(SEED, [700, 210])
    for tensor, (old, new) in enumerate(zip(before, after, strict=True)):
        if distribution == "gaussian":
            z = directions.gaussian(SEED, tensor, old.size)
        else:
            z = directions.sphere(SEED, tensor, old.size, factor=factor)
        assert np.abs((new - old) - SCALE * z.reshape(old.shape)).max() < 1e-7
        assert not np.array_equal(new, old)


# Unit roundoff of each dtype: one addition errs by at most u times its result.
ROUNDOFF = {
    torch.float64: 2.0**-53,
    torch.float32: 2.0**-24,
    torch.bfloat16: 2.0**-8,
    torch.float16: 2.0**-11,
}


@pytest.mark.parametrize("dtype", ROUNDOFF)
def test_plain_mode_restores_within_three_roundings(dtype: torch.dtype) -> None:
    """+s, -2s, +s: three additions, each within u (|w| + s) of the truth."""
    weights = torch.from_numpy(normal(5000)).to(dtype)
    before, scale = weights.clone(), 2.0**-6
    for factor in (1, -2, 1):
        perturb_([weights], SEED, factor * scale)
        bound = ROUNDOFF[dtype] * (before.double().abs() + 2 * scale)
    assert ((weights.double() - before.double()).abs() <= 3 * bound).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_plain_mode_moves_other_dtypes_along_the_same_signs(dtype: torch.dtype) -> None:
    weights = torch.zeros(300, dtype=dtype)
    perturb_([weights], SEED, 0.5)
    assert weights.tolist() == (0.5 * directions.rademacher(SEED, 0, 300)).tolist()


@pytest.mark.parametrize("seed", [-1, 1 << 64, 1.5])
def test_a_seed_that_does_not_exist_is_an_error_and_changes_nothing(seed: float) -> None:
    weights = normal(10)
    before = weights.copy()
    with pytest.raises(ValueError, match="seed must be"):
        perturb_many_([weights], [(1, 0.5), (seed, 0.5)])  # type: ignore[list-item]
    assert np.array_equal(weights, before)


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), -float("inf")])
def test_a_scale_that_is_not_finite_is_an_error_and_changes_nothing(scale: float) -> None:
    weights = normal(10)
    before = weights.copy()
    with pytest.raises(ValueError, match="scale must be finite"):
        perturb_([weights], 1, scale)
    assert np.array_equal(weights, before)


def test_an_unknown_distribution_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ValueError, match="one of rademacher, gaussian, sphere, got 'cauchy'"):
        perturb_([normal(3)], 1, 0.5, distribution="cauchy")


@pytest.mark.process
def test_the_meter_of_the_next_test_sees_a_copy() -> None:
    result = devices.run_isolated(extra_bytes, "copy", 10_000_000)
    assert result.value is None or result.value > 0.9 * 40_000_000


@pytest.mark.process
@pytest.mark.parametrize(
    ("operation", "elements"),
    [
        ("perturb", 50_000_000),
        ("perturb strided", 20_000_000),
        ("replay", 50_000_000),
        ("snap", 50_000_000),
        ("differences", 50_000_000),
        ("gaussian", 1_000_000),
        ("sphere", 1_000_000),
    ],
)
def test_a_pass_needs_at_most_a_mebibyte_whatever_the_size(operation: str, elements: int) -> None:
    result = devices.run_isolated(extra_bytes, operation, elements)
    assert result.status == "ok", result.error
    if result.value is None:
        pytest.skip("this machine keeps no high-water mark of a process")
    assert result.value <= MIB
