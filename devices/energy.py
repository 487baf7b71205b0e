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
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from devices.meter import EnergyMeter
from devices.reading import Reading, missing
from devices.sensors import find_rails, find_rapl_zones, read_number

_WINDOW = "devices region"
_TOO_SHORT = "the region is shorter than the counter's period"
_RAPL_INTERVAL_S = 10.0  # far below the minutes in which a counter wraps at full load
_INA_INTERVAL_S = 0.05


def energy_meter(root: Path = Path("/")) -> EnergyMeter:
    """Return the best energy meter of this machine; one that says why where there is none.

    Args:
        root: The folder that stands for the root of the file system.

    Returns:
        A meter for `measure(energy_meter=...)`.
    """
    if importlib.util.find_spec("zeus") is not None:
        monitor = _zeus_monitor()
        if monitor.gpu_indices or monitor.cpu_indices:
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


class _Periodic:
    """Call a function now, every interval_s in a thread, and once more at the end."""

    def __init__(self, function: Callable[[], None], interval_s: float) -> None:
        self._function, self._interval_s = function, interval_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        function()
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        self._function()

    def _run(self) -> None:
        while not self._ended.wait(self._interval_s):
            self._function()


class RaplEnergy:
    """Add up RAPL's counters, read often enough that a wrap-around is seen."""

    def __init__(self, zones: Mapping[str, Path], interval_s: float = _RAPL_INTERVAL_S) -> None:
        """Read `zones`, folders of powercap by name, every `interval_s` seconds."""
        self._zones, self._interval_s = zones, interval_s

    def start(self) -> None:
        """Begin."""
        self._last_uj = {
            name: read_number(zone / "energy_uj") for name, zone in self._zones.items()
        }
        self._sum_uj = 0
        self._reader = _Periodic(self._add, self._interval_s)

    def stop(self) -> Reading:
        """Return the joules of all zones."""
        self._reader.end()
        method = f"RAPL: {' + '.join(self._zones)}"
        if self._sum_uj == 0:
            return missing("joule", _TOO_SHORT, method=method)
        return Reading(value=self._sum_uj / 1e6, unit="joule", method=method)

    def _add(self) -> None:
        for name, zone in self._zones.items():
            now_uj = read_number(zone / "energy_uj")
            used_uj = now_uj - self._last_uj[name]
            wrapped = used_uj < 0
            self._sum_uj += used_uj + (read_number(zone / "max_energy_range_uj") if wrapped else 0)
            self._last_uj[name] = now_uj


class SampledPower:
    """Integrate power sensors over time, by the trapezoid rule."""

    def __init__(
        self,
        rails: Mapping[str, Callable[[], float]],
        method: str,
        interval_s: float = _INA_INTERVAL_S,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Sample the watts of `rails` every `interval_s` seconds of `clock`."""
        self._rails, self._interval_s, self._clock = rails, interval_s, clock
        self._method = f"{method}, sampled every {interval_s * 1000:g} ms"

    def start(self) -> None:
        """Begin."""
        self._joules = 0.0
        self._last: tuple[float, float] | None = None
        self._sampler = _Periodic(self._add, self._interval_s)

    def stop(self) -> Reading:
        """Return the joules of all rails."""
        self._sampler.end()
        return Reading(value=self._joules, unit="joule", method=self._method)

    def _add(self) -> None:
        now_s, watts = self._clock(), sum(read() for read in self._rails.values())
        if self._last is not None:
            last_s, last_watts = self._last
            self._joules += (now_s - last_s) * (watts + last_watts) / 2
        self._last = now_s, watts


def _why_none(root: Path) -> str:
    """Say what is missing, and what would give a figure."""
    if any((root / "sys/class/powercap").glob("intel-rapl:*")):
        return (
            "RAPL's counters are readable by root only: run as root, or chmod a+r"
            " /sys/class/powercap/intel-rapl:*/energy_uj"
        )
    return (
        "no counter here: RAPL is not shown (virtual machines hide it), there is no Jetson power"
        " sensor, and counters of GPUs and of AMD's processors need Zeus (pip install zeus)"
    )


def _zeus_monitor() -> Any:
    from zeus.monitor import ZeusMonitor

    return ZeusMonitor()
