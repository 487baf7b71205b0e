"""Energy of a region, in joules, from whatever counter or sensor the machine has.

| meter, first that is there | covers | how |
|---|---|---|
| external meter's log (DEVICES_ENERGY_CSV) | what it is plugged into | power integrated |
| Jetson's INA3221, INA238 | the board's input, the module, or rails | power sampled, integrated |
| Raspberry Pi 5's PMIC | its 12 rails, not the input | power sampled, integrated |
| Zeus (optional, `pip install zeus`) | NVIDIA and AMD GPUs, CPU packages and DRAM | counters |
| NVML | the NVIDIA GPU in use | counter |
| RAPL | CPU packages and DRAM, not the board | counters, their wrap-around undone |

A region much shorter than the source's period (RAPL 1 ms, NVML up to 100 ms, INA about 5 ms a
channel) can't be measured: repeat the work in it, at least `shortest_region_s` long.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from devices.files import find
from devices.meter import EnergyMeter
from devices.nvml import NotReportedError
from devices.nvml_energy import NvmlEnergy, nvml_energy
from devices.pmic import COMMAND, read_watts
from devices.power_log import LoggedPower
from devices.rapl import RaplEnergy
from devices.reading import Reading, missing
from devices.sampled_power import SampledPower
from devices.sensors import find_rails, find_rapl_zones

LOG_VARIABLE = "DEVICES_ENERGY_CSV"
_WINDOW = "devices region"
_TOO_SHORT = "the region is shorter than the counter's period"
_PMIC_INTERVAL_S = 0.1  # each sample starts a command, which takes some milliseconds


def energy_meter(root: Path = Path("/")) -> EnergyMeter:
    """Return the best energy meter of this machine; without one, a meter that gives the reason.

    Args:
        root: The folder that stands for the root of the file system.

    Returns:
        A meter for `measure(energy_meter=...)`.

    Raises:
        ValueError: DEVICES_ENERGY_CSV names a file that is not a log of times and watts.
    """
    log = os.environ.get(LOG_VARIABLE)
    if log:
        return LoggedPower(Path(log))
    rails = find_rails(root)
    if rails:
        return SampledPower(rails, "INA sensors: " + " + ".join(rails))
    if read_watts(root) is not None:
        return SampledPower({"PMIC": lambda: read_watts(root)}, COMMAND, _PMIC_INTERVAL_S)
    return _counters(root)


def use_log(file: str | None) -> None:
    """Take energy from an external meter's log, here and in processes started from here.

    Args:
        file: The log; None for this machine's own sensors.

    Raises:
        ValueError: The file is not a log of times and watts.
    """
    if file is not None:
        path = Path(file).resolve()
        LoggedPower(path)
        os.environ[LOG_VARIABLE] = str(path)


def shortest_region_s(meter: EnergyMeter) -> float:
    """Return how long a region must be for a meter, in seconds; 0 if any length is enough."""
    return meter.shortest_region_s if isinstance(meter, NvmlEnergy) else 0.0


def _counters(root: Path) -> EnergyMeter:
    monitor = _zeus_monitor() if importlib.util.find_spec("zeus") is not None else None
    if monitor is not None and (monitor.gpu_indices or monitor.cpu_indices):
        return ZeusEnergy(monitor)
    try:
        gpu = nvml_energy()
    except NotReportedError as error:
        return NoEnergy(f"the GPU in use has no energy counter: {error}")
    if gpu is not None:
        return gpu
    zones = find_rapl_zones(root)
    return RaplEnergy(zones) if zones else NoEnergy(_why_none(root))


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


def _why_none(root: Path) -> str:
    """Say what is missing, and what would give a figure."""
    if find(root / "sys/class/powercap", "intel-rapl:*"):
        return (
            "RAPL's counters are readable by root only: run as root, or chmod a+r"
            " /sys/class/powercap/intel-rapl:*/energy_uj"
        )
    return (
        "no counter here: RAPL is not shown (virtual machines hide it), there is no power sensor of"
        " a Jetson or a Raspberry Pi 5, and counters of AMD's chips need Zeus (pip install zeus);"
        " NVML's counter serves steps that run on an NVIDIA GPU, and an external meter's log can be"
        " given (--energy-csv FILE)"
    )


def _zeus_monitor() -> Any:
    """Return Zeus's monitor, None where it finds no way to a counter and says so by raising."""
    try:
        from zeus.monitor import ZeusMonitor

        return ZeusMonitor()
    except Exception:  # of its own kinds, and those of the drivers below it
        return None
