"""Replicas after 100 rounds: whoever applies the same lists, in any way, ends at one digest."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from zo_core import Grid, apply_updates_, derive_seed, digest, kernels, perturb_, snap_
from zo_core.federation import Replica
from zo_core.perturbation import perturb_many_

ROUNDS, PAIRS, EPSILON, TAU = 100, 12, 1e-3, 0.75
BY_KERNEL = 12  # of them by another back end; most widening is in the first ten
SHAPES = [(40, 9, 3, 3), (40,), (70, 130), (70,), (1,)]
Weights = list[npt.NDArray[np.float32]]


def origin() -> Weights:
    rng = np.random.default_rng(3)
    return [rng.normal(0, 0.05, shape).astype(np.float32) for shape in SHAPES]


def updates_of(round_index: int) -> list[tuple[int, float]]:
    """Scalars of a round with a few large ones, so that small tensors are widened on the way."""
    rng = np.random.default_rng(round_index)
    scalars = rng.normal(0, 2e-3, PAIRS).astype(np.float32)
    seeds = (
        derive_seed(1, round_index=round_index, client_id=c, direction=0) for c in range(PAIRS)
    )
    return list(zip(seeds, map(float, scalars), strict=True))


def apply(weights: object, grid: Grid, round_index: int) -> None:
    pairs = updates_of(round_index)
    apply_updates_(weights, pairs, 0.3, epsilon=EPSILON, tau=TAU, grid=grid)  # type: ignore[arg-type]


def server(rounds: int = ROUNDS) -> tuple[Weights, Grid]:
    weights = origin()
    grid = snap_(weights)
    for round_index in range(rounds):
        apply(weights, grid, round_index)
    return weights, grid


def replica_that_measures() -> tuple[Weights, Grid]:
    """A client: it perturbs and restores, fused and unfused, between the rounds."""
    weights = origin()
    grid = snap_(weights)
    for round_index in range(ROUNDS):
        rho = grid.radius(EPSILON, TAU)
        perturb_(weights, 1, rho)
        perturb_(weights, 1, -2 * rho)
        if round_index % 2:
            perturb_many_(weights, [(1, rho), (2, rho)])
        else:
            perturb_(weights, 1, rho)
            perturb_(weights, 2, rho)
        perturb_(weights, 2, -rho)
        apply(weights, grid, round_index)
    return weights, grid


def replica_by_kernel(name: str) -> Callable[[], tuple[Weights, Grid]]:
    """Another back end, which is slow, up to a round by which weights have been widened."""

    def build() -> tuple[Weights, Grid]:
        if reason := kernels.selection.unavailable_reason(name):
            pytest.skip(reason)
        with kernels.force_kernel(name):
            weights, grid = server(BY_KERNEL)
        widened = grid.exponents != snap_(origin()).exponents
        assert widened.any(), "no tensor was widened: a weak test"
        for round_index in range(BY_KERNEL, ROUNDS):
            apply(weights, grid, round_index)
        return weights, grid

    return build


def replica_with_other_strides() -> tuple[list[torch.Tensor], Grid]:
    """A torch client whose convolution lies channels-last: other chunks, the same elements."""
    weights = [torch.from_numpy(array) for array in origin()]
    weights[0] = weights[0].to(memory_format=torch.channels_last)
    weights[2] = weights[2].t().contiguous().t()
    grid = snap_(weights)
    for round_index in range(ROUNDS):
        apply(weights, grid, round_index)
    return weights, grid


def late_joiner() -> tuple[Weights, Grid]:
    """It takes over the state before round 60 and replays the rest, scalars in another order."""
    weights = origin()
    grid = snap_(weights)
    for round_index in range(60):
        apply(weights, grid, round_index)
    weights, grid = copy.deepcopy(weights), grid.copy()
    for round_index in range(60, ROUNDS):
        pairs = updates_of(round_index)[::-1]
        apply_updates_(weights, pairs, 0.3, epsilon=EPSILON, tau=TAU, grid=grid)
    return weights, grid


@pytest.fixture(scope="module")
def servers_digest() -> bytes:
    weights, grid = server()
    started = snap_(origin())
    assert (grid.exponents != started.exponents).any(), "no tensor was widened: a weak test"
    return digest(weights, grid)


@pytest.mark.parametrize(
    "replica",
    [
        replica_that_measures,
        replica_by_kernel("numpy"),
        replica_by_kernel("torch"),
        replica_with_other_strides,
        late_joiner,
    ],
    ids=["client", "numpy", "torch", "strides", "late-joiner"],
)
def test_every_replica_ends_at_the_servers_digest(
    replica: Callable[[], tuple[Weights, Grid]], servers_digest: bytes
) -> None:
    assert digest(*replica()) == servers_digest


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    digests = set()
    for threads in (1, 2, 5):
        monkeypatch.setattr(kernels, "default_threads", lambda threads=threads: threads)
        weights = [np.linspace(-0.1, 0.1, 400_003, dtype=np.float32)]  # enough work for 5 threads
        grid = snap_(weights)
        for round_index in range(5):
            apply(weights, grid, round_index)
        digests.add(digest(weights, grid))
    assert len(digests) == 1


class PartlyFrozen(torch.nn.Module):
    """A trainable weight, a frozen one, and a buffer that float32 does not hold exactly."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(-1, 1, 300))
        self.base = torch.nn.Parameter(torch.ones(5), requires_grad=False)
        self.register_buffer("scale", torch.tensor([1 / 3], dtype=torch.float64))


def test_a_late_joiner_takes_over_frozen_parameters_and_buffers_too() -> None:
    server, late = Replica(PartlyFrozen()), Replica(PartlyFrozen())
    server.module.base.fill_(7.0)
    server.snap_()
    snapshot = server.snapshot(run_id=1, round_index=0)
    server.restore_(snapshot)  # what float32 does not hold is rounded at home as well
    late.restore_(snapshot)
    assert late.digest() == server.digest()


def test_a_client_without_torch_can_hold_a_model_with_frozen_state() -> None:
    server = Replica(PartlyFrozen())
    server.snap_()
    snapshot = server.snapshot(run_id=1, round_index=0)
    server.restore_(snapshot)
    frozen = [np.zeros(5, np.float32), np.zeros(1, np.float64)]
    light = Replica([np.zeros(300, np.float32)], frozen=frozen)
    light.restore_(snapshot)
    assert light.digest() == server.digest()
