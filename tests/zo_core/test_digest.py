"""A digest vouches for every bit of the state, and for nothing but the state."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from zo_core import Grid, digest, snap_


def model() -> nn.Module:
    torch.manual_seed(0)
    built = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Linear(3, 2), nn.Linear(2, 2))
    built[3].requires_grad_(False)
    return built


def test_the_digest_is_blake2b_over_exponents_and_bytes_by_hand() -> None:
    """Rule 12: for each tensor e (int32, little endian) and bytes; then frozen; then buffers."""
    w = [np.array([0.5, -0.25], np.float32), np.array([[1.0]], np.float32)]
    frozen = [np.array([3.0], np.float32), np.array(7, np.int64)]
    body = b"".join(
        [
            (-23).to_bytes(4, "little", signed=True),
            bytes.fromhex("0000003f 000080be"),
            (-22).to_bytes(4, "little", signed=True),
            bytes.fromhex("0000803f"),
            bytes.fromhex("00004040"),
            bytes.fromhex("0700000000000000"),
        ]
    )
    expected = hashlib.blake2b(body, digest_size=32).digest()
    assert digest(w, Grid(np.array([-23, -22])), frozen=frozen) == expected


def test_a_modules_digest_is_its_parameters_then_frozen_ones_then_buffers() -> None:
    m = model()
    grid = snap_(m)
    trainable = [p.detach().numpy() for p in m.parameters() if p.requires_grad]
    frozen = [p.detach().numpy() for p in m.parameters() if not p.requires_grad]
    buffers = [b.numpy() for b in m.buffers()]
    assert buffers
    assert frozen
    assert digest(m, grid) == digest(trainable, grid, frozen=[*frozen, *buffers])
    assert digest(m, grid) != digest(trainable, grid)


CHANGES: dict[str, Callable[[nn.Module], None]] = {
    "a weight": lambda m: m[0].weight.data.flatten()[-1:].mul_(1 + 2.0**-22),
    "a bias": lambda m: m[2].bias.data[:1].add_(2.0**-20),
    "a norm's weight": lambda m: m[1].weight.data[2:3].sub_(2.0**-20),
    "a running mean": lambda m: m[1].running_mean[:1].add_(1e-30),
    "a counter": lambda m: m[1].num_batches_tracked.add_(1),
    "a frozen weight": lambda m: m[3].weight.data[1:, 1:].mul_(1 + 2.0**-22),
    "the sign of a zero": lambda m: m[1].running_mean[:1].neg_(),
    "two weights swapped": lambda m: m[2].weight.data.copy_(m[2].weight.data.flip(0)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_changes_with_every_part_of_the_state(change: str) -> None:
    m = model()
    grid = snap_(m)
    before = digest(m, grid)
    assert digest(m, grid) == before
    CHANGES[change](m)
    assert digest(m, grid) != before


def test_each_bit_of_a_weight_counts() -> None:
    w = np.array([0.7, -0.1, 3.0], np.float32)
    seen = {digest([w])}
    for i in range(96):
        flipped = w.copy()
        flipped.view(np.uint32)[i // 32] ^= np.uint32(1 << (i % 32))
        seen.add(digest([flipped]))
    assert len(seen) == 97


def test_each_exponent_counts_and_so_does_having_a_grid() -> None:
    w = [np.zeros(3, np.float32), np.zeros(2, np.float32)]
    grids = [None, Grid(np.array([-23, -23])), Grid(np.array([-22, -23]))]
    grids.append(Grid(np.array([-23, -22])))
    assert len({digest(w, grid) for grid in grids}) == 4


def test_order_counts() -> None:
    a, b = np.ones(3, np.float32), np.zeros(3, np.float32)
    assert digest([a, b]) != digest([b, a])
    assert digest([a], frozen=[b, a]) != digest([a], frozen=[a, b])


def test_layout_and_framework_do_not_count() -> None:
    w = np.random.default_rng(0).normal(size=(4, 6, 5, 5)).astype(np.float32)
    plain = digest([w])
    tensor = torch.from_numpy(w.copy())
    layouts = [
        np.asfortranarray(w),
        np.repeat(w, 2, axis=3)[..., ::2],
        w.astype(">f4"),
        tensor,
        tensor.contiguous(memory_format=torch.channels_last),
        tensor.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
    ]
    assert {digest([layout]) for layout in layouts} == {plain}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_dtypes_have_a_digest_in_plain_mode(dtype: torch.dtype) -> None:
    weights = torch.linspace(-1, 1, 9).to(dtype)
    before = digest([weights])
    assert digest([weights[::2]]) != before
    weights[4] = 1.0
    assert digest([weights]) != before


def test_a_tensor_without_elements_counts_by_its_exponent_alone() -> None:
    w, empty = np.ones(2, np.float32), np.zeros((0, 3), np.float32)
    assert digest([w, empty]) == digest([w])
    assert digest([w, empty], Grid(np.array([-22, -26]))) != digest([w], Grid(np.array([-22])))


def test_a_digest_is_32_bytes_and_changes_nothing() -> None:
    m = model()
    before = [t.clone() for t in m.state_dict().values()]
    assert len(digest(m)) == 32
    assert all(torch.equal(a, b) for a, b in zip(before, m.state_dict().values(), strict=True))
