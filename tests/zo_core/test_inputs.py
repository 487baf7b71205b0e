"""What a caller may hand over: served like everything else, or one ValueError that helps."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zo_core import (
    apply_updates_,
    kernels,
    loss_differences,
    parameters,
    perturb_,
    projected_gradient,
    snap_,
)
from zo_core.loss.module_loss import cross_entropy, mean_loss
from zo_core.off_grid_checks import NonFiniteWeightsError
from zo_core.parameters import tensor_numbers

KERNELS = [name for name, available, _ in kernels.list_kernels() if available and name != "triton"]


# --- seeds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.uint64, np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("kernel", KERNELS)
def test_numpy_integers_are_seeds_in_every_kernel(kernel: str, kind: type) -> None:
    def act(seed: Any) -> bytes:
        weights = [np.linspace(-0.5, 0.5, 300, dtype=np.float32)]
        grid = snap_(weights)
        with kernels.force_kernel(kernel):
            perturb_(weights, seed, 0.5)
            perturb_(weights, seed, -0.5)
            found = loss_differences(
                lambda: float(weights[0][3]), weights, [seed], epsilon=0.01, grid=grid
            )
            apply_updates_(
                weights, [(seed, float(found[0]))], np.float32(0.5), epsilon=0.01, grid=grid
            )
        return weights[0].tobytes()

    assert act(kind(77)) == act(77)


@pytest.mark.parametrize("seed", [1.0, "1", None, np.float32(1), -1, 1 << 64, np.int64(-1)])
def test_anything_else_is_not_a_seed(seed: Any) -> None:
    weights = [np.zeros(3, np.float32)]
    for act in (
        lambda: perturb_(weights, seed, 0.5),
        lambda: projected_gradient(lambda: 0.0, weights, seed, epsilon=0.01),
        lambda: apply_updates_(weights, [(seed, 1.0)], 0.1, epsilon=0.01),
    ):
        with pytest.raises(ValueError, match=r"seed must be (an integer )?in \[0, 2\^64\)"):
            act()
    assert not weights[0].any()


# --- memory ---------------------------------------------------------------------------------------


def unaligned(values: np.ndarray) -> np.ndarray:
    """A float32 view that starts in the middle of a word."""
    view = np.zeros(values.nbytes + 1, np.uint8)[1:].view(np.float32)
    view[...] = values
    return view


def field_of_a_record(values: np.ndarray) -> np.ndarray:
    records = np.zeros(values.size, np.dtype([("id", "u1"), ("w", "f4")]))  # a stride of 5
    records["w"] = values
    return records["w"]


def aligned_field(values: np.ndarray) -> np.ndarray:
    records = np.zeros(values.size, np.dtype([("w", "f4"), ("id", "i4")]))
    records["w"] = values
    return records["w"]


def reversed_view(values: np.ndarray) -> np.ndarray:
    return values[::-1].copy()[::-1]


def big_endian(values: np.ndarray) -> np.ndarray:
    return values.astype(">f4")


@pytest.mark.parametrize(
    "view", [unaligned, field_of_a_record, aligned_field, reversed_view, big_endian]
)
def test_float32_views_of_any_memory_move_like_plain_arrays(view: Callable[..., Any]) -> None:
    values = np.linspace(-0.5, 0.5, 40_000, dtype=np.float32)
    plain, odd = [values.copy()], [view(values)]
    for weights in (plain, odd):
        perturb_(weights, 5, 0.25)
        apply_updates_(weights, [(6, 0.5), (7, -0.25)], 0.1, epsilon=0.01)
    assert np.array_equal(plain[0], odd[0])


@pytest.mark.parametrize("view", [unaligned, field_of_a_record, aligned_field])
def test_on_a_grid_they_take_the_same_steps(view: Callable[..., Any]) -> None:
    values = np.linspace(-0.5, 0.5, 3_000, dtype=np.float32)
    plain, odd = [values.copy()], [view(values)]
    for weights in (plain, odd):
        grid = snap_(weights)
        apply_updates_(weights, [(6, 0.5), (7, -0.25)], 1e-3, epsilon=0.01, grid=grid)
    assert np.array_equal(plain[0], odd[0])


# --- lists ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "found"),
    [
        (torch.zeros(3, 2), "single buffer"),
        (nn.Parameter(torch.zeros(3)), "single buffer"),
        (np.zeros((3, 2), np.float32), "single buffer"),
        (nn.Linear(2, 2).state_dict(), "OrderedDict; pass list"),
        ({"w": torch.zeros(2)}, "dict; pass list"),
        ("weights", "got str"),
        (None, "got NoneType"),
        (3.0, "got float"),
    ],
)
def test_what_is_no_list_is_refused(params: Any, found: str) -> None:
    with pytest.raises(ValueError, match=f"params must be a module or a list.*{found}"):
        parameters(params)


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ([1.0, 2.0], "is a list"),
        (0.5, "is a float"),
        (nn.Linear(2, 2), "is a Linear"),
        ({"params": [torch.zeros(2)]}, "is a dict"),
        (np.ma.masked_array(np.zeros(3, np.float32), [0, 1, 0]), "is a MaskedArray"),
        (np.zeros(3, "f4").view(np.recarray), "is a recarray"),
        (torch.zeros(3).to(torch.float8_e4m3fn), "has dtype torch.float8_e4m3fn"),
        (torch.zeros(3).to(torch.float8_e5m2), "has dtype torch.float8_e5m2"),
        (torch.zeros(3, dtype=torch.complex64), "has dtype torch.complex64"),
        (torch.eye(3).to_sparse(), "has layout torch.sparse_coo"),
        (torch.eye(4).to_mkldnn(), "has layout torch._mkldnn"),
        (nn.LazyLinear(2).weight, "has no shape yet"),
        (torch.zeros(3).as_subclass(type("Wrapped", (torch.Tensor,), {})), "is a Wrapped"),
        (np.zeros(3, np.dtype([("w", "f4")])), "has dtype"),
    ],
)
def test_what_cannot_be_perturbed_is_named_with_a_remedy(item: Any, why: str) -> None:
    with pytest.raises(ValueError, match=rf"parameter '1' {why}.*cannot be perturbed in place; \w"):
        parameters([np.zeros(2, np.float32), item])


def test_a_batched_tensor_is_refused() -> None:
    def act(weights: torch.Tensor) -> torch.Tensor:
        parameters([weights])
        return weights

    with pytest.raises(ValueError, match="has no memory of its own"):
        torch.func.vmap(act)(torch.zeros(3, 2))


def test_frozen_parameters_may_be_of_any_kind() -> None:
    module = nn.Linear(3, 2)
    module.scale = nn.Parameter(torch.zeros(2).to(torch.float8_e5m2), requires_grad=False)
    assert parameters(module).names == ("weight", "bias")
    assert tensor_numbers(module) == {"weight": 0, "bias": 1}


def test_memory_mapped_arrays_are_served(tmp_path: Any) -> None:
    array = np.memmap(tmp_path / "weights", np.float32, "w+", shape=(200,))
    perturb_([array], 3, 1.0)
    expected = np.zeros(200, np.float32)
    perturb_([expected], 3, 1.0)
    assert np.array_equal(array, expected)


# --- absurd steps ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "dtype"),
    [(kernel, dtype) for kernel in ("numpy", "torch") for dtype in ("float16", "float32")]
    + [("torch", "bfloat16")],  # which NumPy lacks
)
def test_a_radius_lost_to_rounding_is_refused(kernel: str, dtype: str) -> None:
    weights = torch.full((50,), 1.0).to(getattr(torch, dtype))
    before = weights.clone()
    with (
        kernels.force_kernel(kernel),
        pytest.raises(ValueError, match=rf"= 1e-08 is lost to rounding on all weights in {dtype}"),
    ):
        projected_gradient(lambda: 0.0, [weights], 1, epsilon=1e-8)
    assert torch.equal(weights, before)


def test_the_share_that_is_lost_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    weights = parameters([np.array([1.0, 1.0, 1.0, 1e-4], np.float16)])
    with caplog.at_level(logging.WARNING, logger="zo_core"):
        for _ in range(3):
            projected_gradient(lambda: 0.0, weights, 1, epsilon=1e-4)
    assert [record.getMessage() for record in caplog.records] == [
        "epsilon * tau = 0.0001 is lost to rounding on 75 % of the weights in float16; "
        "raise epsilon, or use float32 weights"
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_weights_that_are_not_finite_are_refused(value: float, dtype: torch.dtype) -> None:
    weights = torch.zeros(5, dtype=dtype)
    weights[3] = value
    with pytest.raises(NonFiniteWeightsError, match="'0' holds a weight that is not finite"):
        projected_gradient(lambda: 0.0, [weights], 1, epsilon=0.1)


@pytest.mark.parametrize(("dtype", "lr"), [("float16", 1e6), ("float32", 1e40), ("bfloat16", 1e40)])
@pytest.mark.parametrize("distribution", ["rademacher", "gaussian"])
def test_a_step_that_no_weight_can_take_is_refused(
    dtype: str, lr: float, distribution: str
) -> None:
    weights = torch.zeros(5, dtype=getattr(torch, dtype))
    with pytest.raises(NonFiniteWeightsError, match=rf"does not fit {dtype}; no weight has"):
        apply_updates_([weights], [(1, 1.0)], lr, epsilon=0.01, distribution=distribution)
    assert not weights.any()


@pytest.mark.parametrize("outlier", [0.0, 64.0])
def test_weights_that_the_grid_zeroes_are_reported(
    outlier: float, caplog: pytest.LogCaptureFixture
) -> None:
    """GIVEN weights of 1e-8, or of 1e-6 beside one of 64, THEN the share lost is logged."""
    scale = 1e-6 if outlier else 7e-9
    small = np.full(100, scale, np.float32)
    small[0] = outlier
    fine = np.linspace(-0.1, 0.1, 100, dtype=np.float32)
    with caplog.at_level(logging.WARNING, logger="zo_core"):
        snap_([fine, small, torch.zeros(10)])
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert messages[0].startswith(f"snap_ rounds {99 if outlier else 100} % of the non-zero")
    assert "parameter '1' to zero" in messages[0]


# --- outputs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outputs", "y"),
    [
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long)),  # per pixel
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, dtype=torch.long)),
        (torch.zeros(2, 3, 4), torch.zeros(2, dtype=torch.long)),
        (torch.zeros(2, 3), torch.zeros(2, 3)),  # soft labels
        (torch.zeros(2, 3), torch.zeros(2)),  # a regression's targets
        (torch.zeros(2), torch.zeros(2, dtype=torch.long)),  # a single score
        (torch.zeros(3, 3), torch.zeros(2, dtype=torch.long)),
    ],
)
def test_outputs_that_the_loss_would_misread_are_refused(outputs: Any, y: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"outputs must be a tensor of scores.*criterion of your"):
        cross_entropy(outputs, y)


def test_a_single_class_is_refused() -> None:
    with pytest.raises(ValueError, match="two classes or more"):
        mean_loss(nn.Linear(4, 1), torch.zeros(3, 4), torch.zeros(3, dtype=torch.long))
