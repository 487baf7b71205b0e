"""Steps of several kinds, the weights that an interrupt may leave, and ways to interrupt."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import random_signals
import torch

import zo_core
from zo_core import ZOSGD, Grid, apply_updates_, kernels, loss_differences, snap_
from zo_core.perturbation import perturb_many_

SEEDS = (11, 12)
EPSILON = 1e-3
_ENGINE = str(Path(zo_core.__file__).parent)
State = tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of step: who computes it, on what."""

    kernel: str
    dtype: str = "float32"
    size: int = 300  # of the larger tensor; a chunk has 16,384 elements
    plain: bool = False
    lr: float = 1e-3  # at 0.2 tensors are widened
    fused: bool = False  # the last way back and the update in one pass, as ZOSGD takes them

    def start(self) -> tuple[list[Any], Grid | None]:
        """Make the weights, the same for each call, and their grid."""
        rng = np.random.default_rng(5)
        values = [rng.uniform(-0.9, 0.9, n) for n in (self.size, 12)]
        if self.dtype == "bfloat16":
            weights: list[Any] = [torch.from_numpy(v).to(torch.bfloat16) for v in values]
        else:
            weights = [v.astype(self.dtype) for v in values]
        weights[1] = weights[1].reshape(4, 3).T  # a strided one
        return weights, None if self.plain else snap_(weights)

    def step(self, weights: list[Any], grid: Grid | None) -> None:
        """Take a step: 4 forwards, 5 passes, and the update's."""
        with kernels.force_kernel(self.kernel):
            if self.fused:
                optimizer = ZOSGD(weights, lr=self.lr, epsilon=EPSILON, directions=2, grid=grid)
                optimizer.step(lambda: _loss(weights))
                return
            differences = loss_differences(
                lambda: _loss(weights), weights, SEEDS, epsilon=EPSILON, grid=grid
            )
            updates = list(zip(SEEDS, differences.tolist(), strict=True))
            apply_updates_(weights, updates, self.lr, epsilon=EPSILON, grid=grid)

    def allowed(self) -> set[State]:
        """The states that an interrupt may leave: old, new, and in plain mode the ways back."""
        weights, grid = self.start()
        states = {state(weights, grid)}
        self.step(weights, grid)
        states.add(state(weights, grid))
        return states | {self._turned_back(passes) for passes in range(5) if self.plain}

    def _turned_back(self, passes: int) -> State:
        weights, _ = self.start()
        first, second = SEEDS
        there = [
            [(first, EPSILON)],
            [(first, -2 * EPSILON)],
            [(first, EPSILON), (second, EPSILON)],
            [(second, -2 * EPSILON)],
        ]
        back = [[], [(first, -EPSILON)], [(first, EPSILON)], [(second, -EPSILON)]]
        with kernels.force_kernel(self.kernel):
            for terms in [*there[:passes], [*back, [(second, EPSILON)]][passes]]:
                if terms:
                    perturb_many_(weights, terms)
        return state(weights, None)


KINDS = {
    "c": Kind(kernel="c"),
    "c, widened": Kind(kernel="c", lr=0.2),
    "c, fused": Kind(kernel="c", fused=True, lr=0.2),
    "numpy, fused": Kind(kernel="numpy", fused=True),
    "c, plain": Kind(kernel="c", plain=True),
    "numpy": Kind(kernel="numpy"),
    "numpy, widened": Kind(kernel="numpy", lr=0.2),
    "numpy, plain float64": Kind(kernel="numpy", plain=True, dtype="float64"),
    "torch": Kind(kernel="torch"),
    "torch, plain bfloat16": Kind(kernel="torch", plain=True, dtype="bfloat16"),
}
LARGE = {
    "c": Kind(kernel="c", size=3_000_000),
    "c, widened": Kind(kernel="c", size=3_000_000, lr=0.2),
    "numpy": Kind(kernel="numpy", size=50_000),
    "numpy, widened": Kind(kernel="numpy", size=50_000, lr=0.2),
    "torch": Kind(kernel="torch", size=50_000),
    "torch, plain bfloat16": Kind(kernel="torch", plain=True, dtype="bfloat16", size=100_000),
}


def state(weights: list[Any], grid: Grid | None) -> State:
    """What must be of one step: the bits of the weights and the exponents."""
    bits = [w if isinstance(w, np.ndarray) else w.view(torch.int16).numpy() for w in weights]
    exponents = b"" if grid is None else grid.exponents.tobytes()
    return (*(array.tobytes() for array in bits), exponents)


def _loss(weights: list[Any]) -> float:
    small = weights[1]
    if isinstance(small, np.ndarray):
        return float(np.square(small, dtype=np.float64).sum())
    return float(small.double().square().sum())


@contextmanager
def raising_at(bytecode: int, interrupt: Callable[[], None]) -> Iterator[None]:
    """Interrupt at the nth bytecode of the engine that runs in this context."""
    passed = 0

    def at(frame: Any, event: str, _argument: Any) -> Any:
        nonlocal passed
        if event == "opcode":
            passed += 1
            if passed == bytecode + 1:
                interrupt()
        return at

    def called(frame: Any, _event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_ENGINE):
            return None
        frame.f_trace_opcodes = True
        return at

    before = sys.gettrace()
    sys.settrace(called)
    try:
        yield
    finally:
        sys.settrace(before)


def by_random_signals(kind: Kind, trials: int, rng: random.Random) -> int:
    """Interrupt many steps of a kind; see :mod:`random_signals`."""
    return random_signals.by_random_signals(
        kind.start,
        lambda subject: kind.step(*subject),
        lambda subject: state(*subject),
        allowed=kind.allowed(),
        trials=trials,
        rng=rng,
    )


if __name__ == "__main__":
    name, trials, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(2)
    print(by_random_signals(LARGE[name], trials, random.Random(seed)))
