"""Energy of a region, in joules, from whatever counter or sensor the machine has.

| meter | covers | how |
|---|---|---|
| Zeus (optional, `pip install zeus`) | NVIDIA and AMD GPUs, CPU packages and DRAM | counters |
| Jetson's INA3221, INA238 | the module, or its main rails | power sampled and integrated |
| RAPL | CPU packages and DRAM, not the board | counters, their wrap-around undone |

No meter sees a whole board: screen, storage, radio and power supply are outside of it. A region
much shorter than the sensor's own period (RAPL 1 ms, NVML up to 100 ms, INA about 5 ms a
channel) can't be measured: repeat the work within the region.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from devices.files import find, read_number
from devices.meter import EnergyMeter
from devices.periodic import Periodic
from devices.reading import Reading, missing
from devices.sensors import Watts, find_rails, find_rapl_zones

_WINDOW = "devices region"
_TOO_SHORT = "the region is shorter than the counter's period"
_BROKEN = "a sensor did not answer in the region"
_RAPL_INTERVAL_S = 10.0  # far below the minutes in which a counter wraps at full load
_INA_INTERVAL_S = 0.05


def energy_meter(root: Path = Path("/")) -> EnergyMeter:
    """Return the best energy meter of this machine; one that says why where there is none.

    Args:
        root: The folder that stands for the root of the file system.

    Returns:
        A meter for `measure(energy_meter=...)`.
    """
    monitor = _zeus_monitor() if importlib.util.find_spec("zeus") is not None else None
    if monitor is not None and (monitor.gpu_indices or monitor.cpu_indices):
        return ZeusEnergy(monitor)
    rails = find_rails(root)
    if rails:
        return SampledPower(rails, "INA sensors: " + " + ".join(rails))
    zones = find_rapl_zones(root)
    if zones:
        return RaplEnergy(zones)
    return NoEnergy(_why_none(root))


class NoEnergy:
    """Say why there is no energy figure."""

    def __init__(self, reason: str) -> None:
        """Keep the reason for stop()."""
        self._reason = reason

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> Reading:
        """Return no figure, with the reason."""
        return missing("joule", self._reason)


class ZeusEnergy:
    """Read the counters that the Zeus library found: GPUs, and CPUs and DRAM if readable."""

    def __init__(self, monitor: Any) -> None:
        """Use a zeus.monitor.ZeusMonitor."""
        self._monitor = monitor

    def start(self) -> None:
        """Begin a Zeus window."""
        self._monitor.begin_window(_WINDOW)

    def stop(self) -> Reading:
        """End the window; return the sum of its parts, each named in the method."""
        window = self._monitor.end_window(_WINDOW)
        parts = {
            "GPU": window.gpu_energy,
            "CPU": window.cpu_energy,
            "DRAM": window.dram_energy,
        }
        seen = {name: sum(joules.values()) for name, joules in parts.items() if joules}
        method = f"Zeus counters: {' + '.join(seen)}"
        if sum(seen.values()) == 0:
            return missing("joule", _TOO_SHORT, method=method)
        return Reading(value=sum(seen.values()), unit="joule", method=method)


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


def _why_none(root: Path) -> str:
    """Say what is missing, and what would give a figure."""
    if find(root / "sys/class/powercap", "intel-rapl:*"):
        return (
            "RAPL's counters are readable by root only: run as root, or chmod a+r"
            " /sys/class/powercap/intel-rapl:*/energy_uj"
        )
    return (
        "no counter here: RAPL is not shown (virtual machines hide it), there is no Jetson power"
        " sensor, and counters of GPUs and of AMD's processors need Zeus (pip install zeus)"
    )


def _zeus_monitor() -> Any:
    """Return Zeus's monitor, None where it finds no way to a counter and says so by raising."""
    try:
        from zeus.monitor import ZeusMonitor

        return ZeusMonitor()
    except Exception:  # of its own kinds, and those of the drivers below it
        return None
