"""Energy of the GPU in use, by NVML's total-energy counter.

The counter moves in steps (10 to 100 ms, by GPU and driver). So its period is measured first, and a
region shorter than 20 periods has no figure: repeat the work in it (`shortest_region_s`). On Grace
Hopper the counter covers the whole module, not the GPU alone (github.com/ml-energy/zeus, pull 172).
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable

from devices.nvml import NotReportedError, NvmlGpu, open_gpu
from devices.reading import Reading, missing

UPDATES = 20  # in a region: an error of one update at each end is at most a tenth
_POLL_S = 0.001
_CHANGES = 5  # seen to find the period
_PATIENCE_S = 1.0


class NvmlEnergy:
    """Read the counter at both ends of a region, which must last 20 of its updates."""

    method = "NVML total-energy counter of the GPU in use"

    def __init__(
        self, gpu: NvmlGpu, period_s: float, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Use a GPU whose counter moves every `period_s` seconds of `clock`."""
        self._gpu, self._clock = gpu, clock
        self.shortest_region_s = UPDATES * period_s

    def start(self) -> None:
        """Read the counter."""
        self._started_s, self._start_j = self._clock(), self._energy_j()

    def stop(self) -> Reading:
        """Return the joules since start(); None for a region that is too short."""
        seconds, end_j = self._clock() - self._started_s, self._energy_j()
        if self._start_j is None or end_j is None or end_j < self._start_j:
            return missing("joule", "the counter did not answer, or was reset", method=self.method)
        if seconds < self.shortest_region_s:
            reason = (
                f"the region took {seconds:.3g} s, below {UPDATES} updates of the counter "
                f"({self.shortest_region_s:.3g} s): repeat the work in it"
            )
            return missing("joule", reason, method=self.method)
        return Reading(value=end_j - self._start_j, unit="joule", method=self.method)

    def _energy_j(self) -> float | None:
        try:
            return self._gpu.energy_j()
        except NotReportedError:
            return None


def find_period_s(
    gpu: NvmlGpu,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Watch the counter move and return the longest time between two moves, in seconds.

    Args:
        gpu: The GPU.
        clock: Seconds.
        sleep: Wait for some of them.

    Raises:
        NotReportedError: There is no counter, or it did not move often enough in a second.
    """
    started_s, last_j, moved_s = clock(), gpu.energy_j(), list[float]()
    while len(moved_s) < _CHANGES:
        if clock() - started_s > _PATIENCE_S:
            raise NotReportedError(
                f"the energy counter moved {len(moved_s)} times in {_PATIENCE_S} s"
            )
        sleep(_POLL_S)
        now_j = gpu.energy_j()
        if now_j != last_j:
            moved_s.append(clock())
            last_j = now_j
    return max(late - early for early, late in itertools.pairwise(moved_s))


def nvml_energy() -> NvmlEnergy | None:
    """Return a meter for the CUDA device that this process uses; None where it uses none.

    Raises:
        NotReportedError: It uses one whose counter cannot be read.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    gpu = open_gpu(f"GPU-{properties.uuid}")
    return NvmlEnergy(gpu, find_period_s(gpu))
