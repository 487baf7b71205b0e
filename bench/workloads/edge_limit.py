"""The smallest memory limit, enforced by the kernel, under which a client's round completes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import devices
from bench.workloads.limits import TRIAL_TIMEOUT_S
from bench.workloads.steps import RETURN_BLOCKS

STEP_BYTES = 2 << 20  # to which a limit is found


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a client's round begins to complete."""

    fails_bytes: int  # the largest limit tried under which it did not
    completes_bytes: int  # the smallest tried under which it did
    method: str | None  # what enforced it
    tried: Sequence[tuple[int, str]]  # (limit, outcome), in order


def smallest_limit(plan: Mapping[str, Any], low_bytes: int, high_bytes: int) -> Found:
    """Bisect the limit under which :func:`bench.workloads.edge.measure_round_memory` completes.

    Args:
        plan: its argument.
        low_bytes: a limit under which nothing completes.
        high_bytes: a limit under which it does, which is tried first.

    Raises:
        OSError: no memory limit can be enforced here.
        RuntimeError: the round does not complete under high_bytes, or one ran out of time.
    """
    first = completes(plan, high_bytes)
    if first.status != "ok":
        raise RuntimeError(f"the round fails under {high_bytes} bytes as well: {first.error}")
    tried: list[tuple[int, str]] = [(high_bytes, first.status)]
    method = first.limit_method
    while high_bytes - low_bytes > STEP_BYTES:
        middle = (low_bytes + high_bytes) // 2
        run = completes(plan, middle)
        if run.status == "timeout":
            raise RuntimeError(f"under {middle} bytes the round is {run.error}")
        tried.append((middle, run.status if run.status == "ok" else f"{run.status}: {run.phase}"))
        if run.status == "ok":
            high_bytes = middle
        else:
            low_bytes = middle
    return Found(
        fails_bytes=low_bytes, completes_bytes=high_bytes, method=method, tried=tuple(tried)
    )


def completes(plan: Mapping[str, Any], limit_bytes: int) -> devices.IsolatedResult:
    """Run a client's round under a limit; the outcome's status is "ok" where it completes."""
    return devices.run_isolated(
        "bench.workloads.edge:measure_round_memory",
        dict(plan),
        limit_bytes=limit_bytes,
        timeout_s=TRIAL_TIMEOUT_S,
        env=RETURN_BLOCKS,
    )
