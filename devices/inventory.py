"""What can be measured on this machine, by which method, and how far it can be trusted."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.energy import NoEnergy, energy_meter
from devices.files import exists
from devices.huge_pages import WithHugePages
from devices.limits import open_limit
from devices.peaks import CgroupPeak, VmHwm, best_peak_meter
from devices.reading import to_plain
from devices.traffic import why_no_pair

_PROBE_LIMIT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterInfo:
    """Describe how one quantity is measured here.

    Args:
        quantity: What is measured.
        method: How; None where it can't be.
        trust: "exact", "sampled", "partial" (it misses a part that is named), or "none".
        remark: What it misses, or why it cannot be measured.
    """

    quantity: str
    method: str | None
    trust: str
    remark: str

    def to_json(self) -> dict[str, Any]:
        """Return the entry as plain JSON data."""
        return to_plain(self)


def list_meters() -> list[MeterInfo]:
    """List the meters of this machine, found by trying them; imports no torch."""
    return [_host_memory(), _tensor_memory(), _device_memory(), _limit(), _wire(), _energy()]


def _host_memory() -> MeterInfo:
    meter = best_peak_meter()
    if isinstance(meter, WithHugePages):
        trust, remark = "sampled", "huge pages have no high-water mark; short spikes may be missed"
    elif isinstance(meter, VmHwm | CgroupPeak):
        trust, remark = "exact", "kernel's high-water mark, within 2 MiB of known allocations"
    else:
        trust, remark = "sampled", "the mark can't be reset here: short spikes may be missed"
    return MeterInfo(quantity="peak host memory", method=meter.method, trust=trust, remark=remark)


def _tensor_memory() -> MeterInfo:
    if importlib.util.find_spec("torch") is None:
        return _none("peak tensor memory", "torch is not installed (extra: bench)")
    return MeterInfo(
        quantity="peak tensor memory",
        method="storages seen by torch's dispatcher",
        trust="exact",
        remark="without workspaces inside kernels and NumPy arrays",
    )


def _device_memory() -> MeterInfo:
    if not any(exists(Path(file)) for file in ("/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/nvgpu")):
        return _none("peak device memory", "no NVIDIA device file")
    return MeterInfo(
        quantity="peak device memory",
        method="torch's allocator; NVML by process where memory is not unified",
        trust="exact",
        remark="allocated is gated; reserved moves with the allocator's history",
    )


def _limit() -> MeterInfo:
    try:
        limit = open_limit(_PROBE_LIMIT_BYTES)
    except OSError as error:
        return _none("memory limit", str(error))
    limit.close()
    remark = {
        "RLIMIT_DATA": "counts reserved heap too, and no library code",
    }.get(limit.method, "does not charge library pages that another group read first")
    return MeterInfo(quantity="memory limit", method=limit.method, trust="partial", remark=remark)


def _wire() -> MeterInfo:
    if not exists(Path("/sys/class/net")):
        return _none("wire bytes", "no interface counters in sysfs")
    reason = why_no_pair()
    return MeterInfo(
        quantity="wire bytes",
        method="interface counters" if reason else "interface counters in a namespace pair",
        trust="partial" if reason else "exact",
        remark=f"all processes' traffic: {reason}" if reason else "only the two processes' traffic",
    )


def _energy() -> MeterInfo:
    meter = energy_meter()
    meter.start()
    reading = meter.stop()
    if isinstance(meter, NoEnergy):
        return _none("energy", str(reading.reason))
    return MeterInfo(
        quantity="energy",
        method=reading.method,
        trust="partial",
        remark="what the sensors feed; never the whole board",
    )


def _none(quantity: str, reason: str) -> MeterInfo:
    return MeterInfo(quantity=quantity, method=None, trust="none", remark=reason)
