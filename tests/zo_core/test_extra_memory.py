"""Passes over torch weights make no tensors: seen at the dispatcher, not at the allocator."""

from __future__ import annotations

import pytest
import torch

from devices.tensor_memory import track_tensors
from zo_core import apply_updates_, kernels, perturb_, snap_
from zo_core.weight_grid import Grid

MIB = 1 << 20


def extra_bytes(weights: list[torch.Tensor], grid: Grid | None) -> int:
    with track_tensors(parameters=weights) as tracker:
        perturb_(weights, 1, 2.0**-12)
        perturb_(weights, 1, -(2.0**-12))
        apply_updates_(weights, [(1, 1e-3), (2, -1e-3)], 1e-3, epsilon=1e-4, grid=grid)
    return tracker.result().peak_above_baseline_bytes


@pytest.mark.parametrize("kernel", ["c", "numpy"])
def test_passes_over_fp32_weights_make_no_tensor(kernel: str) -> None:
    if reason := kernels.selection.unavailable_reason(kernel):
        pytest.skip(reason)
    weights = [torch.linspace(-0.05, 0.05, 1_000_003), torch.ones(300, 200).t()]
    with kernels.force_kernel(kernel):
        assert extra_bytes(weights, snap_(weights)) == 0


def test_passes_by_torch_operations_make_small_tensors_whatever_the_models_size() -> None:
    for size in (50_000, 500_000):
        assert 0 < extra_bytes([torch.ones(size, dtype=torch.bfloat16)], None) <= MIB


def test_the_tracker_does_see_the_ways_that_copy() -> None:
    weights = torch.ones(100_000)
    with track_tensors(parameters=[weights]) as tracker:
        weights.data = weights.data + 1e-4 * torch.normal(0.0, 1.0, weights.shape)
    assert tracker.result().peak_above_baseline_bytes >= 2 * 400_000
