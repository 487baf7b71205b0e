"""zo-grid/1 once more, in exact fractions and Python integers, one weight at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import slow_stream

TWO = Fraction(2)


class LeavesGridError(Exception):
    """A weight would pass |k| = 2^24."""


@dataclass
class Tensor:
    """w = k * 2^e."""

    k: list[int]
    e: int

    def weights(self) -> np.ndarray:
        return np.array([float(k * TWO**self.e) for k in self.k], dtype=np.float32)


def snap(weights: Sequence[float]) -> Tensor:
    """Rule 2, b found by search: the least with max |w| < 2^b."""
    largest = max((abs(Fraction(float(w))) for w in weights), default=Fraction(0))
    b = -3
    while largest >= TWO**b:
        b += 1
    e = b - 23
    return Tensor([round(Fraction(float(w)) / TWO**e) for w in weights], e)


def radius(exponents: Sequence[int], epsilon: float, tau: float) -> Fraction | None:
    """Rule 4; None where there is none."""
    coarse, fine = max(exponents), min(exponents)
    rho = round(Fraction(epsilon * tau) / TWO**coarse) * TWO**coarse
    return rho if rho >= TWO**coarse and rho <= TWO ** (fine + 23) else None


@dataclass(frozen=True)
class Hyper:
    """What rule 6 takes beside the scalars."""

    lr: float
    epsilon: float = 1e-3
    tau: float = 1.0
    tau_squared: bool = True
    omega: tuple[float, ...] | None = None


def integers(differences: Sequence[float], rho: float, hyper: Hyper) -> tuple[list[int], int]:
    """Rules 6 and 7: a_j and f."""
    n = len(differences)
    omega = hyper.omega or (1.0 / n,) * n
    s = hyper.tau * hyper.tau if hyper.tau_squared else 1.0
    c = []
    for w, difference in zip(omega, differences, strict=True):
        g = difference / (2.0 * rho)
        c.append(-((hyper.lr * s) * (w * g)))
    top = max(map(abs, c))
    if top == 0:
        return [0] * n, 0
    f = math.frexp(n * top)[1] - 30
    return [round(Fraction(x) / TWO**f) for x in c], f


def step(
    tensors: Sequence[Tensor], updates: Sequence[tuple[int, float]], hyper: Hyper
) -> tuple[list[Tensor], int]:
    """Rules 4 and 6 to 9: the tensors after one list, and how many increments were zero."""
    rho = radius([t.e for t in tensors], hyper.epsilon, hyper.tau)
    assert rho is not None
    a, f = integers([d for _, d in updates], float(rho), hyper)
    moved, zeros = [], 0
    for number, tensor in enumerate(tensors):
        directions = [slow_stream.signs(seed, number, len(tensor.k)) for seed, _ in updates]
        increments = [
            round(
                Fraction(sum(x * z[i] for x, z in zip(a, directions, strict=True)))
                * TWO**f
                / TWO**tensor.e
            )
            for i in range(len(tensor.k))
        ]
        zeros += increments.count(0)
        k, e = [k + d for k, d in zip(tensor.k, increments, strict=True)], tensor.e
        if max(map(abs, k), default=0) > 1 << 24:
            raise LeavesGridError(number)
        while max(map(abs, k), default=0) > 1 << 23:
            k, e = [round(Fraction(x, 2)) for x in k], e + 1
        moved.append(Tensor(k, e))
    return moved, zeros
