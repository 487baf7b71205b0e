"""The memory that a step has to fit in: this machine's, a device's of the catalogue, or a size."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

import devices
from bench.format import MIB
from bench.sizes import SIZE, parse_size
from devices.group_limits import lowest_group_limit

THIS_MACHINE = "this-machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A device to fit in."""

    name: str
    memory_bytes: int  # all of its memory
    reserve_bytes: int = 0  # kept for the operating system

    def __post_init__(self) -> None:
        """Refuse a reserve that leaves nothing."""
        if self.limit_bytes <= 0:
            raise ValueError(
                f"--reserve must be less than the device's memory, {self.memory_bytes / MIB:.0f}"
                f" MiB, got {self.reserve_bytes / MIB:.0f} MiB"
            )

    @property
    def limit_bytes(self) -> int:
        """What the step's process may use."""
        return self.memory_bytes - self.reserve_bytes


def this_machine(reserve_bytes: int | None = None) -> Target:
    """Return this machine, or the memory limit that it sets for this process if that is lower.

    Args:
        reserve_bytes: memory of the operating system and other programs; by default what is in use.
    """
    memory = psutil.virtual_memory()
    limit = lowest_group_limit()
    if limit is None:
        total, used = memory.total, memory.total - memory.available
    else:
        total, used = limit.size_bytes, limit.in_use_bytes()
    reserve = used if reserve_bytes is None else reserve_bytes
    return Target(name=THIS_MACHINE, memory_bytes=total, reserve_bytes=reserve)


def find_target(text: str, reserve_bytes: int | None = None) -> Target:
    """Find a device of the catalogue, or take a size of memory.

    Args:
        text: a name of the catalogue, or a size with its unit.
        reserve_bytes: memory of the operating system; by default the catalogue's estimate for a
            device, and 0 for a size.

    Raises:
        ValueError: neither, a device whose memory is not known, or a reserve that is too large.

    >>> find_target("pi-zero-2").limit_bytes >> 20, find_target("512MiB").limit_bytes >> 20
    (362, 512)
    """
    if text not in devices.CATALOG:
        return Target(name=text, memory_bytes=_memory(text), reserve_bytes=reserve_bytes or 0)
    device = devices.find_device(text)
    if device.memory_bytes is None:
        raise ValueError(f"the catalogue has no memory for {text}; give a size, e.g. 1GiB")
    reserve = devices.system_bytes(device) if reserve_bytes is None else reserve_bytes
    return Target(name=text, memory_bytes=device.memory_bytes, reserve_bytes=reserve)


def decimal_remark(text: str) -> str | None:
    """Say how many MiB a size in KB, MB or GB is; None for any other text.

    >>> decimal_remark("512MB"), decimal_remark("512MiB")
    ('512MB is 488 MiB', None)
    """
    match = SIZE.fullmatch(text.strip())
    if match is None or "I" in match[2].upper():
        return None
    return f"{text} is {parse_size(text, '--device') / MIB:.0f} MiB"


def _memory(text: str) -> int:
    try:
        size = parse_size(text, "--device")
    except ValueError:
        size = 0
    if size > 0:
        return size
    unit = f"; a size needs a unit: {text}MiB" if text.strip().isdecimal() else ""
    known = ", ".join(devices.CATALOG)
    raise ValueError(
        f"--device must be one of {known}, or a size such as 512MiB, got {text!r}{unit}"
    )
