"""Energy from sensors of power: sampled, and integrated over time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from devices.periodic import Periodic
from devices.reading import Reading, missing
from devices.sensors import Watts

_BROKEN = "a sensor did not answer in the region"
_INA_INTERVAL_S = 0.05


class SampledPower:
    """Integrate power sensors over time, by the trapezoid rule."""

    def __init__(
        self,
        rails: Mapping[str, Watts],
        method: str,
        interval_s: float = _INA_INTERVAL_S,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Sample the watts of `rails` every `interval_s` seconds of `clock`."""
        self._rails, self._interval_s, self._clock = rails, interval_s, clock
        self._method = f"{method}, sampled every {interval_s * 1000:g} ms"

    def start(self) -> None:
        """Begin."""
        self._joules, self._is_broken = 0.0, False
        self._last: tuple[float, float] | None = None
        self._sampler = Periodic(self._add, self._interval_s)

    def stop(self) -> Reading:
        """Return the joules of all rails."""
        self._sampler.end()
        if self._is_broken:
            return missing("joule", _BROKEN, method=self._method)
        return Reading(value=self._joules, unit="joule", method=self._method)

    def _add(self) -> None:
        now_s, powers = self._clock(), [read() for read in self._rails.values()]
        watts = sum(power for power in powers if power is not None)
        self._is_broken = self._is_broken or None in powers
        if self._last is not None:
            last_s, last_watts = self._last
            self._joules += (now_s - last_s) * (watts + last_watts) / 2
        self._last = now_s, watts
