"""An interrupt at any moment leaves the weights of the step not taken, or of the step taken.

A signal handler raises between two bytecodes.  So one test raises at the bytecodes of the engine
that a small step runs, and another sends real signals at random instants of larger ones.  In plain
mode, where restoring rounds, the weights are those that the ordinary passes give: the step's passes
up to some point, then the way back.
"""

from __future__ import annotations

import ctypes
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import interrupted_replica
import interrupted_step
import numpy as np
import pytest
from interrupted_replica import REPLICA_KINDS, ReplicaKind
from interrupted_step import KINDS, LARGE, Kind, raising_at, state

from zo_core import Grid, kernels, loss_differences, perturb_, snap_
from zo_core.algorithms.steps.local import LocalSteps
from zo_core.fixed_point import fixed_point
from zo_core.kernels.resumable_pass import uninterrupted
from zo_core.parameters import parameters

# Each bytecode of the C kernels' step; of the slow kernels' loops over chunks some of each.
STRIDES = {"c": 1, "c, widened": 3, "c, plain": 3}


@pytest.fixture(autouse=True)
def _no_kernel_stays_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt may also come while a kernel is being forced, or its forcing ended."""
    monkeypatch.setattr(kernels.selection, "_forced", None)


def interrupt() -> None:
    raise KeyboardInterrupt


def interrupt_by_signal() -> None:
    signal.raise_signal(signal.SIGINT)


def exit_by_handler() -> None:
    raise SystemExit(143)


def interrupted_replicas(kind: ReplicaKind, stride: int) -> set[bool]:
    """Interrupt a replica's step at every stride-th bytecode; tell whether it is as it may be."""
    allowed, found = kind.allowed(), set[bool]()
    for bytecode in range(0, sys.maxsize, stride):
        subject = kind.start()
        try:
            with raising_at(bytecode, interrupt):
                kind.step(subject)
            return found
        except KeyboardInterrupt:
            found.add(subject.state() in allowed)
    raise AssertionError


def interrupted_states(kind: Kind, cause: Callable[[], None], start: int, stride: int) -> set[bool]:
    """Interrupt a step at every stride-th bytecode; tell whether the weights are as they may be."""
    allowed, found = kind.allowed(), set[bool]()
    for bytecode in range(start, sys.maxsize, stride):
        weights, grid = kind.start()
        try:
            with raising_at(bytecode, cause):
                kind.step(weights, grid)
            return found
        except (KeyboardInterrupt, SystemExit):
            found.add(state(weights, grid) in allowed)
    raise AssertionError


def step_until_interrupted(
    kind: Kind, weights: list[Any], grid: Grid | None, begun: threading.Event
) -> None:
    with suppress(KeyboardInterrupt):
        begun.set()
        kind.step(weights, grid)
        while True:  # the interrupt comes late; outside of this block it would be an error
            time.sleep(0.001)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_an_interrupt_at_a_bytecode_leaves_old_or_new_weights(name: str) -> None:
    if reason := kernels.selection.unavailable_reason(KINDS[name].kernel):
        pytest.skip(reason)
    stride = STRIDES.get(name, 197)
    assert interrupted_states(KINDS[name], interrupt, 0, stride) == {True}


@pytest.mark.slow
@pytest.mark.parametrize("name", REPLICA_KINDS)
def test_an_interrupt_leaves_the_whole_state_before_or_after_a_methods_step(name: str) -> None:
    assert interrupted_replicas(REPLICA_KINDS[name], 3) == {True}


def test_the_methods_steps_change_refuse_and_widen() -> None:
    """Check the cases themselves."""
    for name, kind in REPLICA_KINDS.items():
        subject = kind.start()
        before, exponents = subject.state(), subject.replica.grid.exponents.tolist()
        kind.step(subject)
        stays = "refused" in name or name == "trained copy"
        assert (subject.state() == before) == stays, name
        widened = subject.replica.grid.exponents.tolist() != exponents
        assert widened or "widened" not in name, name


@pytest.mark.parametrize("cause", [interrupt_by_signal, exit_by_handler])
def test_it_does_not_matter_what_the_interrupt_is(cause: Callable[[], None]) -> None:
    assert interrupted_states(KINDS["numpy, widened"], cause, 5, 311) == {True}


def test_the_steps_widen_and_restore_with_rounding() -> None:
    """Check the cases themselves: there are exponents to lose, and ways back that differ."""
    for name in ("c, widened", "numpy, widened"):
        weights, grid = KINDS[name].start()
        before = state(weights, grid)
        KINDS[name].step(weights, grid)
        assert before[-1] != state(weights, grid)[-1]
    assert len(KINDS["torch, plain bfloat16"].allowed()) > 2


@pytest.mark.parametrize(
    "name",
    [name if name == "c" else pytest.param(name, marks=pytest.mark.slow) for name in LARGE],
)
def test_a_signal_at_a_random_instant_leaves_old_or_new_weights(name: str) -> None:
    if reason := kernels.selection.unavailable_reason(LARGE[name].kernel):
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, interrupted_step.__file__, name, "8", "1"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mixed, widened", "adam, second", "pool, widened"])
def test_a_signal_at_a_random_instant_leaves_a_replicas_old_or_new_state(name: str) -> None:
    rng = random.Random(4)
    kind = replace(REPLICA_KINDS[name], size=20_000)
    assert interrupted_replica.by_random_signals(kind, 8, rng) == 0


def test_an_exception_raised_in_another_thread_leaves_old_or_new_weights() -> None:
    """Signal handlers cannot be set there, but an exception can be raised from outside."""
    kind = LARGE["numpy"]
    allowed, rng = kind.allowed(), random.Random(3)
    for _ in range(5):
        weights, grid = kind.start()
        begun = threading.Event()
        arguments = (kind, weights, grid, begun)
        thread = threading.Thread(target=step_until_interrupted, args=arguments)
        thread.start()
        begun.wait()
        thread.join(rng.uniform(0, 0.05))
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt)
        )
        thread.join()
        assert state(weights, grid) in allowed


def test_a_second_interrupt_waits_for_the_first_ones_recovery() -> None:
    left = 5

    def run() -> None:
        nonlocal left
        left -= 1
        if left:
            raise KeyboardInterrupt(left)

    with pytest.raises(KeyboardInterrupt, match="4"):
        uninterrupted(run)
    assert left == 0


def test_a_pass_that_cannot_be_finished_says_why() -> None:
    """The error that stops the recovery is raised, and the interrupt is its context."""
    causes: list[BaseException] = [KeyboardInterrupt()]

    def run() -> None:
        raise causes.pop() if causes else OSError("the device is lost")

    with pytest.raises(OSError, match="the device is lost") as caught:
        uninterrupted(run)
    assert isinstance(caught.value.__context__, KeyboardInterrupt)


def test_a_signal_while_the_loss_is_computed_leaves_the_old_weights() -> None:
    weights = [np.linspace(-0.5, 0.5, 1000, dtype=np.float32)]
    grid = snap_(weights)
    before = weights[0].tobytes()

    def loss() -> float:
        interrupt_by_signal()
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        loss_differences(loss, weights, [1, 2], epsilon=1e-3, grid=grid)
    assert weights[0].tobytes() == before


@pytest.mark.parametrize("kernel", ["c", "numpy"])
def test_a_bare_pass_is_whole_or_not_begun(kernel: str) -> None:
    if reason := kernels.selection.unavailable_reason(kernel):
        pytest.skip(reason)
    expected = [np.zeros(40_000, np.float32)]
    perturb_(expected, 7, 0.5)
    states = {bytes(160_000), expected[0].tobytes()}
    with kernels.force_kernel(kernel):
        for bytecode in range(0, sys.maxsize, 5):
            weights = [np.zeros(40_000, np.float32)]
            try:
                with raising_at(bytecode, interrupt):
                    perturb_(weights, 7, 0.5)
                return
            except KeyboardInterrupt:
                assert weights[0].tobytes() in states


def test_snapping_leaves_each_weight_as_it_was_or_on_its_grid() -> None:
    """No weight is left between the two: multiplied, say, and not divided again."""
    start = np.random.default_rng(2).uniform(-0.9, 0.9, 40_000).astype(np.float32)
    expected = start.copy()
    snap_([expected])
    for bytecode in range(0, sys.maxsize, 3):
        weights = start.copy()
        try:
            with raising_at(bytecode, interrupt):
                snap_([weights])
            break
        except KeyboardInterrupt:
            assert weights.tobytes() in {start.tobytes(), expected.tobytes()}


@pytest.mark.slow
def test_local_steps_are_taken_back_whatever_bytecode_is_interrupted() -> None:
    start = np.linspace(-0.5, 0.5, 500, dtype=np.float32)
    snap_([start])
    update = fixed_point([3, 4], [0.01, -0.02])

    def act(weights: list[np.ndarray]) -> None:
        grid = snap_(weights)
        with LocalSteps(parameters(weights), grid) as local:
            local.take_(update, rho=2.0**-10)
            local.take_(update, rho=2.0**-10)
            local.take_back_()

    for bytecode in range(sys.maxsize):
        weights = [start.copy()]
        try:
            with raising_at(bytecode, interrupt):
                act(weights)
            break
        except KeyboardInterrupt:
            assert weights[0].tobytes() == start.tobytes(), bytecode
