"""Why a property of a device is None: on this machine, and in a tree of copied files."""

from __future__ import annotations

from collections.abc import Mapping

REASONS: Mapping[str, str] = {
    "soc": "no model name in device-tree or cpuinfo",
    "physical_cores": "the operating system does not report physical cores",
    "memory_bandwidth_bytes_per_s": "not reported by the system; it needs a benchmark",
    "accelerator": "no NVIDIA driver and no Tegra device tree found",
    "torch_wheel": "a catalogue field; versions lists what is installed here",
    "libc": "the C library does not report a version (not glibc)",
    "governor": "no cpufreq in sysfs (a virtual machine, or not Linux)",
    "power_mode": "no platform profile and no nvpmodel status",
    "temperature_c": "no thermal zone in sysfs with a plausible reading",
    "huge_page_mode": "no transparent huge pages in sysfs",
    "memory_bytes": "the operating system does not report its memory",
    "swap_bytes": "no SwapTotal in /proc/meminfo (not Linux)",
    "page_size_bytes": "the operating system does not report it",
    "kernel_memory_options": "the kernel's command line cannot be read",
    "throttling": "no sensor of under-voltage or throttling in sysfs",
    "allocator": "the system does not report which library serves malloc",
    "logical_cores": "the operating system does not report cores",
    "threads": "the operating system does not report cores",
    "emulator": "no emulator seen",
    "clock_source": "no clock source in sysfs",
    "l4t": "no /etc/nv_tegra_release (not a Jetson)",
    "jetpack": "no /etc/nv_tegra_release, or a release that is not in the table",
    "clocks_hz": "no clock of a Jetson's GPU or memory is readable",
    "clocks_locked": "no least and largest clock of a Jetson's GPU in sysfs",
}
# What to copy from the board, by property.
_FILES = {
    "soc": "proc/cpuinfo, proc/device-tree/compatible",
    "accelerator": "proc/device-tree/compatible, proc/driver/nvidia",
    "logical_cores": "proc/cpuinfo",
    "arch": "commands/uname-a.txt",
    "kernel": "commands/uname-a.txt",
    "os": "etc/os-release",
    "memory_bytes": "proc/meminfo",
    "swap_bytes": "proc/meminfo",
    "governor": "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
    "power_mode": "commands/nvpmodel-q.txt, sys/firmware/acpi/platform_profile",
    "temperature_c": "sys/class/thermal",
    "huge_page_mode": "sys/kernel/mm/transparent_hugepage/enabled",
    "page_size_bytes": "commands/getconf-PAGE_SIZE.txt",
    "kernel_memory_options": "proc/cmdline",
    "throttling": "commands/vcgencmd-get_throttled.txt",
    "clock_source": "sys/devices/system/clocksource/clocksource0/current_clocksource",
    "l4t": "etc/nv_tegra_release",
    "clocks_hz": "sys/class/devfreq",
    "clocks_locked": "sys/class/devfreq",
}
_OF_A_RUNNING_SYSTEM = ("physical_cores", "threads", "libc", "python", "allocator")
TREE_REASONS: Mapping[str, str] = {
    **REASONS,
    **{name: f"not in the copied files ({file})" for name, file in _FILES.items()},
    **dict.fromkeys(_OF_A_RUNNING_SYSTEM, "not a property of copied files"),
}
