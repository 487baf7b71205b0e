"""What a device is, and how its memory, bytes, time and energy are measured.

Importing this package loads nothing else; each public name loads its module on first use, so that
a measured process holds no meter that it does not use. The standard library and psutil are enough.
torch and NVML are touched only by the functions that say so, and never imported behind a measured
process's back.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devices.catalog import CATALOG, find_device, system_bytes
    from devices.child import phase
    from devices.child_exit import IsolatedResult
    from devices.clock import now_s, synchronise
    from devices.cuda import DeviceMemory, measure_device
    from devices.detect import detect
    from devices.energy import energy_meter
    from devices.heap import trim
    from devices.host import environment
    from devices.inventory import MeterInfo, list_meters
    from devices.isolate import run_isolated
    from devices.isolated_pool import IsolatedPool
    from devices.limits import why_no_limit
    from devices.memory import HostMemory, read_host_memory
    from devices.meter import Measurement, measure
    from devices.peaks import SampledRss, best_peak_meter
    from devices.reading import Reading, missing
    from devices.spec import Accelerator, DeviceSpec
    from devices.temporary import remove_left_overs, temporary_folder
    from devices.traffic import Traffic, count_traffic, network_pair

__all__ = [
    "CATALOG",
    "Accelerator",
    "DeviceMemory",
    "DeviceSpec",
    "HostMemory",
    "IsolatedPool",
    "IsolatedResult",
    "Measurement",
    "MeterInfo",
    "Reading",
    "SampledRss",
    "Traffic",
    "best_peak_meter",
    "count_traffic",
    "detect",
    "energy_meter",
    "environment",
    "find_device",
    "list_meters",
    "measure",
    "measure_device",
    "missing",
    "network_pair",
    "now_s",
    "phase",
    "read_host_memory",
    "remove_left_overs",
    "run_isolated",
    "synchronise",
    "system_bytes",
    "temporary_folder",
    "trim",
    "why_no_limit",
]

_MODULES = {  # where each name is defined
    "catalog": ("CATALOG", "find_device", "system_bytes"),
    "child": ("phase",),
    "child_exit": ("IsolatedResult",),
    "clock": ("now_s", "synchronise"),
    "cuda": ("DeviceMemory", "measure_device"),
    "detect": ("detect",),
    "energy": ("energy_meter",),
    "heap": ("trim",),
    "host": ("environment",),
    "inventory": ("MeterInfo", "list_meters"),
    "isolate": ("run_isolated",),
    "isolated_pool": ("IsolatedPool",),
    "limits": ("why_no_limit",),
    "memory": ("HostMemory", "read_host_memory"),
    "meter": ("Measurement", "measure"),
    "peaks": ("SampledRss", "best_peak_meter"),
    "reading": ("Reading", "missing"),
    "spec": ("Accelerator", "DeviceSpec"),
    "temporary": ("remove_left_overs", "temporary_folder"),
    "traffic": ("Traffic", "count_traffic", "network_pair"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load the module that defines a public name."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return __all__


class _Package(ModuleType):
    """Keep detect a function: importing its module would replace it."""

    def __setattr__(self, name: str, value: Any) -> None:
        shadows = isinstance(value, ModuleType) and name in _MODULE_OF
        super().__setattr__(name, getattr(value, name) if shadows else value)


sys.modules[__name__].__class__ = _Package
