"""Machines that people train on, each figure with its source; None is "no source was sure".

Memory is the chips' size; what a process may have of it is less: the system, and on unified
memory the GPU, take their share.
"""

from __future__ import annotations

from devices.spec import Accelerator, DeviceSpec

_MIB, _GIB = 1 << 20, 1 << 30
_GBIT = 1e9

_PI_BRIEF = "product brief, https://datasheets.raspberrypi.com/"
_JETSON_PAGE = (
    "NVIDIA, Jetson modules, technical specifications, https://developer.nvidia.com/embedded/"
)
_PYPI = "tried: torch wheels of PyPI, versions 2.10.0 and 2.11.0 for aarch64"

_ARM_WHEEL = "torch<2.11 from PyPI (manylinux_2_28_aarch64; later ones need CUDA packages)"
_ARM_WHEEL_NOTE = "needs a 64-bit system with glibc 2.28 or later"
# ARMv8.0 cores have no atomic instructions; torch 2.4.0 and 2.10.0 stop there.
_OLD_CORE_WHEEL = "torch<2.10 from PyPI (manylinux_2_28_aarch64), but not 2.4.0"
_OLD_CORE = (
    "https://github.com/pytorch/pytorch/issues/132032 and 176993; tried on an emulated Cortex-A72"
    " and Cortex-A53: 2.9.1 runs, 2.10.0 stops"
)
_NO_WIFI_RATE = "the maker names the radio's standard and no rate"
_PHONE_NOTE = "a class, defined by its memory; an app may use only part of it"


def _pi_zero_2_w() -> DeviceSpec:
    brief = f"Raspberry Pi Zero 2 W {_PI_BRIEF}rpizero2/raspberry-pi-zero-2-w-product-brief.pdf"
    return DeviceSpec(
        name="Raspberry Pi Zero 2 W",
        kind="board",
        soc="RP3A0 (BCM2710A1), 4 x Cortex-A53, 1 GHz",
        arch="aarch64",
        logical_cores=4,
        physical_cores=4,
        memory_bytes=512 * _MIB,
        links_bits_per_s={"Wi-Fi 802.11b/g/n": None},
        torch_wheel=_OLD_CORE_WHEEL,
        sources={"soc": brief, "memory_bytes": brief, "torch_wheel": _OLD_CORE},
        notes={
            "torch_wheel": f"{_ARM_WHEEL_NOTE}; importing torch takes half of the memory",
            "links_bits_per_s": _NO_WIFI_RATE,
            "memory_bandwidth_bytes_per_s": "not in the brief",
        },
    )


def _pi_4(memory_gib: int) -> DeviceSpec:
    brief = f"Raspberry Pi 4 Model B {_PI_BRIEF}rpi4/raspberry-pi-4-product-brief.pdf"
    return DeviceSpec(
        name=f"Raspberry Pi 4 Model B, {memory_gib} GB",
        kind="board",
        soc="BCM2711, 4 x Cortex-A72",
        arch="aarch64",
        logical_cores=4,
        physical_cores=4,
        memory_bytes=memory_gib * _GIB,
        links_bits_per_s={"Ethernet": 1 * _GBIT, "Wi-Fi 802.11ac": None},
        torch_wheel=_OLD_CORE_WHEEL,
        sources={
            "soc": brief,
            "memory_bytes": brief,
            "links_bits_per_s": brief,
            "torch_wheel": _OLD_CORE,
        },
        notes={
            "torch_wheel": _ARM_WHEEL_NOTE,
            "links_bits_per_s": _NO_WIFI_RATE,
            "memory_bandwidth_bytes_per_s": "the brief names LPDDR4-3200 without a width",
        },
    )


def _pi_5(memory_gib: int) -> DeviceSpec:
    brief = f"Raspberry Pi 5 {_PI_BRIEF}rpi5/raspberry-pi-5-product-brief.pdf"
    processor = "Raspberry Pi documentation, Processors, BCM2712: LPDDR4X, 32 bit, up to 17 GB/s"
    return DeviceSpec(
        name=f"Raspberry Pi 5, {memory_gib} GB",
        kind="board",
        soc="BCM2712, 4 x Cortex-A76, 2.4 GHz",
        arch="aarch64",
        logical_cores=4,
        physical_cores=4,
        memory_bytes=memory_gib * _GIB,
        memory_bandwidth_bytes_per_s=17e9,
        links_bits_per_s={"Ethernet": 1 * _GBIT, "Wi-Fi 802.11ac": None},
        torch_wheel=_ARM_WHEEL,
        sources={
            "soc": processor,
            "memory_bytes": brief,
            "memory_bandwidth_bytes_per_s": processor,
            "links_bits_per_s": brief,
            "torch_wheel": _PYPI,
        },
        notes={"torch_wheel": _ARM_WHEEL_NOTE, "links_bits_per_s": _NO_WIFI_RATE},
    )


def _jetson_nano() -> DeviceSpec:
    page = f"{_JETSON_PAGE}jetson-nano"
    return DeviceSpec(
        name="Jetson Nano, 4 GB",
        kind="board",
        soc="Tegra X1, 4 x Cortex-A57",
        arch="aarch64",
        logical_cores=4,
        physical_cores=4,
        memory_bytes=4 * _GIB,
        memory_bandwidth_bytes_per_s=25.6e9,
        accelerator=Accelerator(name="Maxwell, 128 CUDA cores", is_integrated=True),
        links_bits_per_s={"Ethernet": 1 * _GBIT},
        sources=dict.fromkeys(
            ("soc", "memory_bytes", "memory_bandwidth_bytes_per_s", "links_bits_per_s"), page
        ),
        notes={
            "torch_wheel": "none: JetPack 4, the last for it, is Ubuntu 18.04 with glibc 2.27 and "
            "Python 3.6; a container with a newer system runs the CPU wheel"
        },
    )


def _orin_nano() -> DeviceSpec:
    page = f"{_JETSON_PAGE}jetson-orin-nano-developer-kit; Jetson Orin Nano Series data sheet"
    return DeviceSpec(
        name="Jetson Orin Nano, 8 GB",
        kind="board",
        soc="Tegra234, 6 x Cortex-A78AE",
        arch="aarch64",
        logical_cores=6,
        physical_cores=6,
        memory_bytes=8 * _GIB,
        memory_bandwidth_bytes_per_s=68e9,
        accelerator=Accelerator(name="Ampere, 1024 CUDA cores", is_integrated=True),
        links_bits_per_s={"Ethernet": 1 * _GBIT},
        torch_wheel=_ARM_WHEEL,
        sources=dict.fromkeys(
            ("soc", "memory_bytes", "memory_bandwidth_bytes_per_s", "links_bits_per_s"), page
        )
        | {"torch_wheel": _PYPI},
        notes={
            "memory_bandwidth_bytes_per_s": "102 GB/s in power mode MAXN SUPER (JetPack 6.1 on)",
            "torch_wheel": "CPU only; for the GPU NVIDIA's wheel that goes with the JetPack",
        },
    )


def _agx_orin() -> DeviceSpec:
    page = f"{_JETSON_PAGE}jetson-agx-orin-developer-kit; Jetson AGX Orin Series data sheet"
    return DeviceSpec(
        name="Jetson AGX Orin, 64 GB",
        kind="board",
        soc="Tegra234, 12 x Cortex-A78AE",
        arch="aarch64",
        logical_cores=12,
        physical_cores=12,
        memory_bytes=64 * _GIB,
        memory_bandwidth_bytes_per_s=204.8e9,
        accelerator=Accelerator(name="Ampere, 2048 CUDA cores", is_integrated=True),
        links_bits_per_s={"Ethernet": 10 * _GBIT},
        torch_wheel=_ARM_WHEEL,
        sources=dict.fromkeys(
            ("soc", "memory_bytes", "memory_bandwidth_bytes_per_s", "links_bits_per_s"), page
        )
        | {"torch_wheel": _PYPI},
        notes={"torch_wheel": "CPU only; for the GPU NVIDIA's wheel that goes with the JetPack"},
    )


def _laptop() -> DeviceSpec:
    return DeviceSpec(
        name="typical laptop, 16 GB",
        kind="laptop",
        arch="x86_64",
        memory_bytes=16 * _GIB,
        memory_bandwidth_bytes_per_s=51.2e9,
        links_bits_per_s={"Ethernet": 1 * _GBIT, "Wi-Fi": None},
        torch_wheel="torch from PyPI or download.pytorch.org/whl/cpu (manylinux_2_28_x86_64)",
        sources={
            "memory_bytes": "definition of the class",
            "memory_bandwidth_bytes_per_s": "JEDEC JESD79-4: DDR4-3200, 2 channels, 8 B, 3.2 GT/s",
            "links_bits_per_s": "definition of the class",
            "torch_wheel": "tried: torch 2.13.0, x86-64 Linux",
        },
        notes={"links_bits_per_s": _NO_WIFI_RATE, "soc": "a class, no model"},
    )


def _phone(memory_gib: int) -> DeviceSpec:
    return DeviceSpec(
        name=f"phone class, {memory_gib} GB",
        kind="phone",
        arch="aarch64",
        memory_bytes=memory_gib * _GIB,
        sources={"memory_bytes": "definition of the class"},
        notes={
            "soc": _PHONE_NOTE,
            "memory_bytes": _PHONE_NOTE,
            "memory_bandwidth_bytes_per_s": "differs by model",
            "torch_wheel": "none: Android and iOS run no wheels; ONNX Runtime has packages",
        },
    )


def _h200() -> DeviceSpec:
    page = "NVIDIA, H200 GPU data sheet, https://www.nvidia.com/en-us/data-center/h200/"
    return DeviceSpec(
        name="server with one H200",
        kind="server",
        arch="x86_64",
        accelerator=Accelerator(
            name="NVIDIA H200 SXM",
            memory_bytes=141 * 10**9,
            memory_bandwidth_bytes_per_s=4.8e12,
            is_integrated=False,
        ),
        torch_wheel="torch from PyPI (CUDA 13, manylinux_2_28_x86_64)",
        sources={"accelerator": page, "torch_wheel": "tried: torch 2.11.0+cu130, Python 3.12"},
        notes={
            "soc": "differs by server",
            "memory_bytes": "differs by server; the GPU's own is in accelerator",
            "memory_bandwidth_bytes_per_s": "differs by server; the GPU's own is in accelerator",
        },
    )


# What the system of each kind of machine takes: our estimates, e.g. a board without a desktop.
_SYSTEM_BYTES = {"board": 150 * _MIB, "laptop": 2 * _GIB, "phone": 2 * _GIB}

CATALOG: dict[str, DeviceSpec] = {
    "pi-zero-2": _pi_zero_2_w(),
    "pi-4-1gb": _pi_4(1),
    "pi-4-4gb": _pi_4(4),
    "pi-5-4gb": _pi_5(4),
    "pi-5-8gb": _pi_5(8),
    "jetson-nano": _jetson_nano(),
    "jetson-orin-nano": _orin_nano(),
    "jetson-agx-orin": _agx_orin(),
    "laptop": _laptop(),
    "phone-4gb": _phone(4),
    "phone-8gb": _phone(8),
    "h200": _h200(),
}


def find_device(name: str) -> DeviceSpec:
    """Return a catalogue entry.

    Args:
        name: A key of CATALOG.

    Raises:
        ValueError: The name is unknown; the message lists the known ones.
    """
    if name not in CATALOG:
        raise ValueError(f"name must be one of {', '.join(CATALOG)}, got {name!r}")
    return CATALOG[name]


def system_bytes(device: DeviceSpec) -> int:
    """Estimate the memory that a machine's operating system takes; 0 where there is no estimate.

    Args:
        device: An entry of CATALOG.

    >>> system_bytes(find_device("pi-zero-2")) >> 20
    150
    """
    return _SYSTEM_BYTES.get(device.kind, 0)
