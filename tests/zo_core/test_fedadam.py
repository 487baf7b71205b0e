"""FedAdam: torch's Adam on the pseudo-gradient in phase one, rule 11 of zo-grid/1 in phase two."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from parabola import DIM, Parabola, config, start

from zo_core import rademacher
from zo_core.algorithms import build_algorithm
from zo_core.algorithms.methods.fedadam import FedAdam
from zo_core.algorithms.steps.adam import AdamState, adam_pass, empty_state
from zo_core.federation import Replica, RoundLog
from zo_core.fixed_point import FixedPointUpdate, fixed_point
from zo_core.kernels.resumable_pass import uninterrupted
from zo_core.method import RoundContext
from zo_core.optimizer import ReplayReport
from zo_core.parameters import Parameters, parameters
from zo_core.payloads.core import DenseWeights, Payload, Snapshot
from zo_core.replica import gather
from zo_core.weight_grid import Grid, GridError, snap_

pytestmark = pytest.mark.usefixtures("one_torch_thread")


# --- phase one -----------------------------------------------------------------------------------


def dense(round_index: int, values: npt.NDArray[np.float32], samples: int = 1) -> DenseWeights:
    return DenseWeights(run_id=9, round_index=round_index, slot=0, samples=samples, values=values)


def context(round_index: int) -> RoundContext:
    return RoundContext(
        run_seed=1, run_id=9, round_index=round_index, cohort=(0, 1), samples=(1, 3)
    )


def fedadam(**changes: Any) -> FedAdam:
    fields: dict[str, Any] = {"client_lr": 0.1, "server_lr": 0.03, "local_epochs": 1}
    return FedAdam(**{**fields, "batch_size": 8, "adam_eps": 1e-3, **changes})


def adam_on_grid_(
    params: Parameters,
    state: AdamState,
    update: FixedPointUpdate,
    grid: Grid,
    *,
    lr: float,
    eps: float,
) -> ReplayReport:
    return uninterrupted(adam_pass(params, state, update, grid, lr=lr, eps=eps))


@pytest.mark.parametrize(("lr", "eps"), [(0.03, 1e-3), (1.0, 1e-8), (1e-4, 0.1)])
def test_the_server_steps_as_torchs_adam_on_the_pseudo_gradient(lr: float, eps: float) -> None:
    """The gradient is w - sum n_k w_k / n; 20 rounds of random client weights."""
    rng = np.random.default_rng(0)
    replica = Replica([rng.normal(size=50).astype(np.float32)])
    weight = torch.nn.Parameter(torch.from_numpy(replica.values()))
    reference = torch.optim.Adam([weight], lr=lr, betas=(0.9, 0.999), eps=eps)
    for r in range(20):
        clients = [rng.normal(size=50).astype(np.float32) for _ in range(2)]
        mean = (clients[0].astype(np.float64) + 3.0 * clients[1]) / 4.0
        weight.grad = weight.detach() - torch.from_numpy(mean).float()
        reference.step()
        updates = [dense(r, clients[0]), dense(r, clients[1], samples=3)]
        fedadam(server_lr=lr, adam_eps=eps).server_result(replica, updates, context(r))
        assert np.allclose(replica.values(), weight.detach().numpy(), rtol=1e-4, atol=1e-5 * lr)


def test_a_round_without_updates_moves_neither_weights_nor_moments() -> None:
    replica = Replica([np.ones(4, np.float32)])
    fedadam().server_result(replica, [dense(0, np.zeros(4, np.float32))], context(0))
    weights, state = replica.values(), gather(replica.server_state.arrays())
    fedadam().server_result(replica, [], context(1))
    assert np.array_equal(replica.values(), weights)
    assert np.array_equal(gather(replica.server_state.arrays()), state)


def test_buffers_take_over_the_mean_and_are_not_stepped() -> None:
    module = torch.nn.BatchNorm1d(2)
    replica = Replica(module)
    values = replica.values()  # weight, bias, running mean, running variance, batches seen
    values[4:6] = 5.0
    fedadam().server_result(replica, [dense(0, values)], context(0))
    assert module.running_mean is not None
    assert module.running_mean.tolist() == [5.0, 5.0]
    assert replica.server_state.num_bytes == 4 * (2 * 4 + 1)


# --- phase two -----------------------------------------------------------------------------------


def slow_adam(
    w: npt.NDArray[np.float64],
    updates: list[FixedPointUpdate],
    *,
    lr: float,
    eps: float,
) -> npt.NDArray[np.float64]:
    """Adam in float64 along the same lists, without a grid."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, update in enumerate(updates, start=1):
        pairs = zip(update.seeds.tolist(), update.a.tolist(), strict=True)
        s = sum(a * rademacher(seed, 0, w.size).astype(np.int64) for seed, a in pairs)
        g = np.ldexp(np.asarray(s, np.float64), update.f)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        root = np.sqrt(v / (1 - 0.999**t))
        w = w + lr * (m / (1 - 0.9**t)) / (root + eps)
    return w


def lists(count: int) -> list[FixedPointUpdate]:
    rng = np.random.default_rng(3)
    return [fixed_point([3 * i, 3 * i + 1], rng.normal(size=2).tolist()) for i in range(count)]


def test_a_step_on_the_grid_is_adams_up_to_its_rounding() -> None:
    start_at = np.random.default_rng(1).uniform(-0.4, 0.4, 1000).astype(np.float32)
    weights = start_at.copy()
    numbered, grid = parameters([weights]), snap_([weights])
    snapped, state = weights.astype(np.float64), empty_state(numbered)
    for update in lists(10):
        adam_on_grid_(numbered, state, update, grid, lr=0.01, eps=1e-3)
    expected = slow_adam(snapped, lists(10), lr=0.01, eps=1e-3)
    half_quanta = 10 * 0.5 * 2.0 ** int(grid.exponents[0])
    assert np.abs(weights - expected).max() < half_quanta + 1e-7
    steps = weights.astype(np.float64) * 2.0 ** -int(grid.exponents[0])
    assert np.array_equal(steps, np.rint(steps))  # still on the grid


def test_the_first_step_by_hand() -> None:
    """One direction, g = c z: m_hat = g, sqrt(v_hat) = |g|, so a weight moves by lr c z / |c|."""
    weights = np.full(8, 0.5, np.float32)
    numbered, grid = parameters([weights]), snap_([weights])
    update = fixed_point([7], [-0.25])
    adam_on_grid_(numbered, empty_state(numbered), update, grid, lr=0.125, eps=1e-12)
    expected = 0.5 - 0.125 * rademacher(7, 0, 8)
    assert np.abs(weights - expected).max() <= 2.0**-22


def test_kernels_layouts_and_tensors_of_nothing_change_no_bit() -> None:
    """Torch tensors, strided ones too, step as NumPy arrays do; zero-size tensors keep numbers."""
    values = np.random.default_rng(2).normal(0, 0.1, 24).astype(np.float32)
    plain = [np.zeros((0, 3), np.float32), values.copy().reshape(4, 6)]
    strided = torch.from_numpy(np.ascontiguousarray(values.reshape(4, 6).T)).T
    assert not strided.is_contiguous()
    other = [torch.zeros(0, 3), strided]
    for update in lists(3):
        for params in (plain, other):
            numbered = parameters(params)
            grid = Grid(np.array([-26, -24]))
            adam_on_grid_(numbered, empty_state(numbered), update, grid, lr=2.0**-6, eps=1e-3)
    assert np.array_equal(plain[1], strided.numpy())
    assert not np.array_equal(plain[1], values.reshape(4, 6))


def test_torchs_operations_give_numpys_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors that NumPy cannot view, as a GPU's, take the same step by torch's operations."""
    values = np.random.default_rng(2).normal(0, 0.1, 3000).astype(np.float32)
    weights = [values.copy()], [torch.from_numpy(values.copy())]
    states = []
    for params in weights:
        if isinstance(params[0], torch.Tensor):
            monkeypatch.setattr(
                "zo_core.algorithms.steps.adam.as_numpy_if_possible", lambda array: array
            )
        numbered, grid = parameters(params), snap_(params)
        states.append(empty_state(numbered))
        for update in lists(5):
            adam_on_grid_(numbered, states[-1], update, grid, lr=0.01, eps=1e-3)
    assert isinstance(states[1].m, torch.Tensor)
    assert gather(states[1].arrays()).tobytes() == gather(states[0].arrays()).tobytes()
    assert weights[1][0].numpy().tobytes() == weights[0][0].tobytes()


def test_a_step_that_leaves_the_grid_changes_neither_weights_nor_moments() -> None:
    weights = [np.full(4, 0.1, np.float32), np.full(4, 0.1, np.float32)]
    numbered, grid = parameters(weights), snap_(weights)
    state = empty_state(numbered)
    with pytest.raises(GridError, match=r"'0' would reach .*lower zo_adam_lr"):
        adam_on_grid_(numbered, state, lists(1)[0], grid, lr=4.0, eps=1e-3)
    assert not gather(state.arrays()).any()
    assert all((w == weights[0][0]).all() for w in weights)


def test_a_step_widens_a_tensor_that_outgrows_its_quantum() -> None:
    weights = np.full(4, 0.12, np.float32)
    numbered, grid = parameters([weights]), snap_([weights])
    before = int(grid.exponents[0])
    report = adam_on_grid_(
        numbered, empty_state(numbered), fixed_point([1], [1.0]), grid, lr=0.1, eps=1e-3
    )
    assert report.widened == ("0",)
    assert int(grid.exponents[0]) == before + 1


def test_who_takes_over_a_later_snapshot_goes_on_with_the_same_moments() -> None:
    run, late = start("zowarmup-fedadam", rounds=20), Replica(Parabola())
    snapshot: Snapshot | None = None
    for record in run.rounds():
        if snapshot is not None:
            method = run.method_at(record.round_index)
            method.apply_(late, record.result, run.context_of(record.round_index))
            assert late.digest() == run.replica.digest()
        if record.round_index == 9:
            snapshot = run.replica.snapshot(run_id=1, round_index=10)
            sent = Payload.decode(snapshot.encode())
            assert sent == snapshot
            assert snapshot.num_bytes == len(snapshot.encode())
            assert snapshot.state.size == 2 * DIM + 1
            assert isinstance(sent, Snapshot)
            late.restore_(sent)


def test_moments_are_in_the_digest() -> None:
    run = start("zowarmup-fedadam", rounds=6)
    for _ in run.rounds():
        pass
    before = run.replica.digest()
    run.replica.shared_state.m[3] += 1.0
    run.replica.invalidate_digest()
    assert run.replica.digest() != before


def test_a_late_joiner_without_torch_replays_the_log_from_the_hand_over() -> None:
    run = start("zowarmup-fedadam", rounds=12)
    records = list(run.rounds())
    assert run.snapshot is not None
    log = RoundLog(run.snapshot, run.context_of)
    for record in records[2:]:
        log.append(record.result)
    light = Replica([np.zeros(DIM, np.float32)])
    log.replay_(run.method_at(2), light)
    assert light.digest() == run.replica.digest()


def test_rates_of_other_phases_do_not_leak_into_adams() -> None:
    for rate in ("server_lr", "zo_server_lr"):
        with pytest.raises(ValueError, match=f"^{rate} must be left out for zowarmup-fedadam"):
            config("zowarmup-fedadam", **{rate: 7.0})
    chosen = config("zowarmup-fedadam")
    warm_up, zeroth_order = (p.method for p in build_algorithm(chosen, (0, 2, 3)).phases)
    assert warm_up.server_lr == zeroth_order.adam_lr == 0.05  # type: ignore[attr-defined]
    assert zeroth_order.lr == 1.0  # type: ignore[attr-defined]
    assert math.isclose(zeroth_order.adam_eps, 1e-3)  # type: ignore[attr-defined]


def test_phase_two_needs_the_grid() -> None:
    with pytest.raises(ValueError, match=r"grid must be left out for zowarmup-fedadam.*got False"):
        config("zowarmup-fedadam", grid=False)
