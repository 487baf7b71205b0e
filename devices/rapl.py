"""Energy of CPU packages and DRAM, by the counters of RAPL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from devices.files import read_number
from devices.periodic import Periodic
from devices.reading import Reading, missing

_TOO_SHORT = "the region is shorter than the counter's period"
_BROKEN = "a sensor did not answer in the region"
_RAPL_INTERVAL_S = 10.0  # far below the minutes in which a counter wraps at full load


class RaplEnergy:
    """Add up RAPL's counters, read often enough that a wrap-around is seen."""

    def __init__(self, zones: Mapping[str, Path], interval_s: float = _RAPL_INTERVAL_S) -> None:
        """Read `zones`, folders of powercap by name, every `interval_s` seconds."""
        self._zones, self._interval_s = zones, interval_s

    def start(self) -> None:
        """Begin."""
        starts = {name: read_number(zone / "energy_uj") for name, zone in self._zones.items()}
        self._last_uj = {name: uj for name, uj in starts.items() if uj is not None}
        self._sum_uj, self._is_broken = 0, len(self._last_uj) < len(starts)
        self._reader = Periodic(self._add, self._interval_s)

    def stop(self) -> Reading:
        """Return the joules of all zones."""
        self._reader.end()
        method = f"RAPL: {' + '.join(self._zones)}"
        if self._is_broken:
            return missing("joule", _BROKEN, method=method)
        if self._sum_uj == 0:
            return missing("joule", _TOO_SHORT, method=method)
        return Reading(value=self._sum_uj / 1e6, unit="joule", method=method)

    def _add(self) -> None:
        for name in self._last_uj:
            zone = self._zones[name]
            now_uj = read_number(zone / "energy_uj")
            used_uj = None if now_uj is None else self._used_uj(zone, self._last_uj[name], now_uj)
            if now_uj is None or used_uj is None:
                self._is_broken = True
                continue
            self._sum_uj += used_uj
            self._last_uj[name] = now_uj

    def _used_uj(self, zone: Path, last_uj: int, now_uj: int) -> int | None:
        """Return the difference of two readings, a wrap-around undone; None where it can't be."""
        if now_uj >= last_uj:
            return now_uj - last_uj
        range_uj = read_number(zone / "max_energy_range_uj")
        return None if range_uj is None else now_uj - last_uj + range_uj
