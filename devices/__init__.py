"""What a device is, and how its memory, bytes, time and energy are measured.

Light to import: the standard library and psutil. torch and NVML are touched only by the
functions that say so, and never imported behind a measured process's back.
"""

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
