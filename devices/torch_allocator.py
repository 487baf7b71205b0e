"""What torch's CPU allocator gave out during a step, by its own events. Imports torch.

It sees kernels' buffers as well as tensors, and neither the C heap's overhead nor other libraries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def peak_by_events(step: Callable[[], object]) -> int:
    """Run a step under torch's profiler; return the largest sum in bytes above its start."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    results: Any = profiler.profiler
    events = [event for event in results.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: int(event.start_ns())):
        now += event.nbytes()
        peak = max(peak, now)
    return peak
