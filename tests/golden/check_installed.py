"""Check that the installed package has its C kernels, and that they give the golden bits.

usage: python tests/golden/check_installed.py

Needs NumPy only. The build of the wheels runs it for each wheel. Exits with 1 if a bit differs or
the C kernels are missing.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator

from write_kernels import GOLDEN, PLAIN, checksum, terms_of, update_of, weights_of

from zo_core.directions import rademacher
from zo_core.kernels import cpu
from zo_core.kernels.resumable_pass import Journal
from zo_core.parameters import Span

THREADS = 2


def perturbed(fields: list[str]) -> int:
    tensor, start, count, n = map(int, fields)
    weights = weights_of(count, -26)
    table = cpu.prepare([Span(weights, tensor, start)])
    cpu.perturb(table, terms_of(n), rademacher, THREADS, journal=Journal())
    return checksum(weights)


def replayed(fields: list[str]) -> int:
    tensor, start, count, n, e, f = map(int, fields)
    weights = weights_of(count, -26 if e == PLAIN else e)
    table = cpu.prepare([Span(weights, tensor, start)])
    exponents = None if e == PLAIN else [e] * (tensor + 1)
    cpu.replay(table, update_of(n, f), exponents, True, THREADS, journal=Journal())
    return checksum(weights)


def outcomes() -> Iterator[bool]:
    for line in GOLDEN.read_text(encoding="utf-8").splitlines():
        kind, *fields = line.split()
        if kind == "perturb":
            yield perturbed(fields[:4]) == int(fields[-1], 16)
        elif kind == "replay":
            yield replayed(fields[:6]) == int(fields[-1], 16)


def main() -> int:
    equal = list(outcomes())
    print(f"{platform.machine()}: {sum(equal)} of {len(equal)} checks equal the golden vectors")
    return 0 if all(equal) and equal else 1


if __name__ == "__main__":
    sys.exit(main())
