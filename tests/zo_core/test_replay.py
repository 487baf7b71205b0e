"""Logs: the weights can be rebuilt to the bit, and a log that is not whole is refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from zo_core import ZOSGD, LogError, UpdateLog, digest, parameters, replay
from zo_core.torch import ZOSGD as TorchOptimizer  # noqa: N811
from zo_core.update_log import start_log

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
STEPS = 200


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))


def tuned(steps: int = STEPS, lr: float = 0.001) -> tuple[nn.Sequential, TorchOptimizer]:
    """Two groups, a schedule, two directions, and weights that outgrow their grid."""
    module = model()
    named = list(module.named_parameters())
    optimizer = TorchOptimizer(
        [{"params": named[:2], "lr": lr}, {"params": named[2:]}], lr=lr, tau=2.0, directions=2
    )
    schedule = CosineAnnealingLR(optimizer, STEPS)
    for _ in range(steps):
        optimizer.step(lambda: (module(X) - 5 * X[:, :1]).square().mean())
        schedule.step()
    return module, optimizer


@pytest.fixture(scope="module")
def run() -> tuple[nn.Sequential, UpdateLog]:
    module, optimizer = tuned()
    return module, UpdateLog.decode(optimizer.log().encode())


def test_two_hundred_steps_are_rebuilt_to_the_bit_from_kilobytes(
    run: tuple[nn.Sequential, UpdateLog], tmp_path: Path
) -> None:
    module, log = run
    base, path = model(), tmp_path / "tune.zolog"
    assert digest(base) != digest(module)
    log.save(path)
    replay(base, path)
    for rebuilt, weight in zip(base.parameters(), module.parameters(), strict=True):
        assert rebuilt.detach().numpy().tobytes() == weight.detach().numpy().tobytes()
    per_step = 4 + 2 * (8 + 4) + 2 * 8  # a count, two directions, two rates
    assert path.stat().st_size - STEPS * per_step < 1500  # header


def test_the_run_widened_tensors_so_that_replay_had_to(
    run: tuple[nn.Sequential, UpdateLog],
) -> None:
    largest = [
        max(float(p.detach().abs().max()) for p in m.parameters()) for m in (model(), run[0])
    ]
    assert largest[1] > 2 * largest[0]


def test_any_kind_of_base_can_be_rebuilt(
    run: tuple[nn.Sequential, UpdateLog], tmp_path: Path
) -> None:
    module, log = run
    expected = digest(list(module.parameters()))
    state = {name: p.detach().numpy() for name, p in model().named_parameters()}
    safetensors.numpy.save_file(state | {"other": np.ones(2, np.float32)}, tmp_path / "base")
    of_file = {k: v.copy() for k, v in safetensors.numpy.load_file(tmp_path / "base").items()}
    replay(of_file, log)
    assert digest([of_file[name] for name in state]) == expected
    assert of_file["other"].tolist() == [1.0, 1.0]
    of_list = model()
    replay(list(of_list.parameters()), log)
    assert digest(of_list) == expected
    of_state = model()
    replay(of_state.state_dict(), log)
    assert digest(of_state) == expected


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_a_log_is_a_checkpoint_of_every_step(
    run: tuple[nn.Sequential, UpdateLog], steps: int
) -> None:
    base = model()
    replay(base, run[1], steps=steps)
    expected = tuned(steps)[0] if steps else model()
    if not steps:
        start_log(parameters(expected), epsilon=1e-3)
    assert digest(base) == digest(expected)


def test_another_base_is_refused_and_unchanged(run: tuple[nn.Sequential, UpdateLog]) -> None:
    other = model()
    with torch.no_grad():
        other[0].bias[0] += 1e-3
    before = digest(other)
    with pytest.raises(LogError, match="not what the run began with"):
        replay(other, run[1])
    assert digest(other) == before
    for base in (nn.Linear(2, 1), {}, [torch.zeros(3)]):
        with pytest.raises(LogError):
            replay(base, run[1])


def test_a_log_without_names_says_what_to_pass() -> None:
    module, base = model(), model()
    optimizer = TorchOptimizer(module.parameters(), lr=0.01)
    optimizer.step(lambda: module(X).square().mean())
    with pytest.raises(LogError, match="list of tensors"):
        replay(base, optimizer.log())
    replay(base.parameters(), optimizer.log())
    assert digest(base) == digest(module)


def small_log() -> bytes:
    w = np.linspace(-1, 1, 8, dtype=np.float32)
    grid, log = start_log(parameters([w]), epsilon=1e-3)
    optimizer = ZOSGD([w], lr=0.05, grid=grid, log=log)
    for _ in range(3):
        optimizer.step(lambda: float(w.astype(np.float64) @ w))
    return log.encode()


def test_every_damaged_byte_is_noticed() -> None:
    """The header's padding is spaces that no reader looks at."""
    body = small_log()
    for at in range(len(body)):
        damaged = body[:at] + bytes([body[at] ^ 0x41]) + body[at + 1 :]
        if body[at : at + 1] == b" ":
            continue
        with pytest.raises(LogError):
            UpdateLog.decode(damaged)


@pytest.mark.parametrize("size", [0, 7, 50, -1])
def test_a_truncated_log_is_refused(size: int) -> None:
    with pytest.raises(LogError, match="damaged"):
        UpdateLog.decode(small_log()[:size])


@pytest.mark.parametrize("field", ["format", "stream", "grid"])
def test_a_log_of_another_version_names_the_field(field: str) -> None:
    body = small_log()
    for ours in (b"zo-log/1", b"zo-stream/1", b"zo-grid/1"):
        if field.encode() in ours or (field == "format" and b"log" in ours):
            body = body.replace(ours, ours[:-1] + b"9")
    with pytest.raises(LogError, match=field):
        UpdateLog.decode(body)


def test_a_log_of_other_weights_than_it_ended_with_is_noticed() -> None:
    _, optimizer = tuned(3)
    log = copy.deepcopy(optimizer.log())
    log.final_digest = "00" * 32
    with pytest.raises(LogError, match="ended with"):
        replay(model(), log)


@pytest.mark.parametrize("steps", [-1, STEPS + 1])
def test_steps_that_the_log_does_not_have_are_refused(
    run: tuple[nn.Sequential, UpdateLog], steps: int
) -> None:
    with pytest.raises(ValueError, match=f"from 0 to {STEPS}"):
        replay(model(), run[1], steps=steps)


def test_a_name_that_two_tensors_have_is_refused() -> None:
    module: Any = nn.ModuleList([nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)])
    groups = [{"params": part.named_parameters()} for part in module]
    with pytest.raises(ValueError, match="'weight'"):
        TorchOptimizer(groups, lr=0.1).step(lambda: 0.0)


def test_an_empty_log_is_read_back() -> None:
    w = np.ones(4, np.float32)
    _, log = start_log(parameters([w]), epsilon=1e-3)
    assert UpdateLog.decode(log.encode()) == log


def test_writing_a_step_again_changes_nothing() -> None:
    """An interrupted step is finished by doing it again."""
    log = UpdateLog.decode(small_log())
    before = log.encode()
    last = list(log.steps())[-1]
    log.write_step(log.num_steps - 1, last.updates, last.rates)
    assert log.encode() == before
