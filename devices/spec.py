"""What a device is: the figures that decide what runs on it, each known or with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from devices.reading import to_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """Describe a GPU; None where unknown.

    Args:
        name: E.g. "NVIDIA H200".
        memory_bytes: Its own memory; None with unified memory, where it is the host's.
        memory_bandwidth_bytes_per_s: Peak rate of that memory.
        is_integrated: True where CPU and GPU share one memory.
        driver: Driver version.
        power_limit_w: The limit that the driver enforces.
        clock_mhz: Clock of its multiprocessors when it was described.
        max_clock_mhz: Their highest clock.
        temperature_c: Its temperature when it was described.
    """

    name: str
    memory_bytes: int | None = None
    memory_bandwidth_bytes_per_s: float | None = None
    is_integrated: bool | None = None
    driver: str | None = None
    power_limit_w: float | None = None
    clock_mhz: int | None = None
    max_clock_mhz: int | None = None
    temperature_c: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the accelerator as plain JSON data."""
        return to_plain(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """Describe a machine, detected or from the catalogue; None is "not known".

    Args:
        name: What to call it.
        kind: "board", "laptop", "phone", "server" or "host" (a machine detected, of any kind).
        soc: Processor or system-on-chip model.
        arch: Instruction set, e.g. "x86_64", "aarch64".
        logical_cores: Cores that the scheduler sees.
        physical_cores: Cores without hyper-threads.
        memory_bytes: Main memory.
        memory_bandwidth_bytes_per_s: Peak rate of main memory.
        accelerator: The GPU, if any.
        links_bits_per_s: Network links by name, their nominal rate in bit/s; None if not reported.
        torch_wheel: Which PyTorch wheel runs there.
        os: Operating system and its version.
        kernel: Kernel release.
        libc: C library and its version.
        python: Python version.
        versions: Versions of the libraries that matter, by distribution name.
        governor: CPU frequency governor.
        power_mode: Power mode or profile.
        temperature_c: Hottest thermal zone, in degrees Celsius.
        huge_page_mode: Transparent huge pages: "always", "madvise" or "never".
        swap_bytes: Size of swap.
        threads: Threads that numeric libraries will use by default.
        page_size_bytes: Size of a page of memory.
        kernel_memory_options: Words of the kernel's command line on memory and NUMA.
        clock_source: What the kernel takes time from, e.g. "tsc".
        l4t: Version of Linux for Tegra (Jetson).
        jetpack: The JetPack that it belongs to.
        clocks_hz: Clocks of a Jetson's GPU and memory, by name.
        clocks_locked: Whether a Jetson's GPU clock can't move, as after jetson_clocks.
        throttling: What the hardware reports of under-voltage and throttling; () is "none".
        allocator: File name of the library that serves malloc.
        preloads: File names of preloaded libraries.
        emulator: What runs the instructions in the processor's place, e.g. "qemu-aarch64".
        notes: Why a figure is None, or a remark on it, by field name.
        sources: Where a catalogue figure comes from, by field name.
    """

    name: str
    kind: str
    soc: str | None = None
    arch: str | None = None
    logical_cores: int | None = None
    physical_cores: int | None = None
    memory_bytes: int | None = None
    memory_bandwidth_bytes_per_s: float | None = None
    accelerator: Accelerator | None = None
    links_bits_per_s: Mapping[str, float | None] = field(default_factory=dict)
    torch_wheel: str | None = None
    os: str | None = None
    kernel: str | None = None
    libc: str | None = None
    python: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    governor: str | None = None
    power_mode: str | None = None
    temperature_c: float | None = None
    huge_page_mode: str | None = None
    swap_bytes: int | None = None
    threads: int | None = None
    page_size_bytes: int | None = None
    kernel_memory_options: tuple[str, ...] | None = None
    clock_source: str | None = None
    l4t: str | None = None
    jetpack: str | None = None
    clocks_hz: Mapping[str, int] | None = None
    clocks_locked: bool | None = None
    throttling: tuple[str, ...] | None = None
    allocator: str | None = None
    preloads: tuple[str, ...] = ()
    emulator: str | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the device as plain JSON data."""
        return to_plain(self)
