"""What a device is: this machine, two boards as fake file trees, the catalogue, the meters."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from devices import (
    CATALOG,
    DeviceSpec,
    clock,
    detect,
    environment,
    find_device,
    list_meters,
    run_isolated,
)
from devices.host import instruction_set
from devices.thermal import temperature_c

MEASURED = (
    "soc",
    "physical_cores",
    "memory_bandwidth_bytes_per_s",
    "accelerator",
    "torch_wheel",
    "libc",
    "governor",
    "power_mode",
    "temperature_c",
    "huge_page_mode",
    "swap_bytes",
    "page_size_bytes",
    "kernel_memory_options",
    "throttling",
    "allocator",
    "emulator",
    "clock_source",
    "l4t",
    "jetpack",
    "clocks_hz",
    "clocks_locked",
    "arch",
    "kernel",
    "os",
    "python",
    "threads",
    "logical_cores",
    "memory_bytes",
)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_this_machine_has_the_figures_that_every_machine_has() -> None:
    spec = detect()

    assert spec.memory_bytes is not None
    assert spec.memory_bytes > 100 << 20
    assert spec.logical_cores is not None
    assert spec.logical_cores >= 1
    assert spec.python == ".".join(map(str, sys.version_info[:3]))
    assert spec.versions["psutil"]


def test_every_figure_that_is_missing_has_a_reason(tmp_path: Path) -> None:
    spec = detect(tmp_path)

    for name in MEASURED:
        assert getattr(spec, name) is not None or spec.notes[name], name
    assert set(spec.notes) <= {name for name in MEASURED if getattr(spec, name) is None} | {
        "links_bits_per_s"
    }


def test_a_description_is_plain_json() -> None:
    for spec in (detect(), *CATALOG.values()):
        assert json.loads(json.dumps(spec.to_json()))["name"] == spec.name


def test_a_raspberry_pi_is_recognised(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
            "proc/device-tree/compatible": "raspberrypi,4-model-b\0brcm,bcm2711\0",
            "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 108.00\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
            "sys/class/thermal/thermal_zone0/temp": "48199\n",
            "sys/class/net/eth0/statistics/rx_bytes": "0\n",
            "sys/class/net/eth0/speed": "1000\n",
            "sys/class/net/wlan0/statistics/rx_bytes": "0\n",
            "sys/class/net/wlan0/speed": "-1\n",
            "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
        },
    )

    spec = detect(tmp_path)

    assert spec.name == "Raspberry Pi 4 Model B Rev 1.4"
    assert spec.soc == "brcm,bcm2711"
    assert spec.governor == "ondemand"
    assert spec.temperature_c == pytest.approx(48.199)
    assert spec.os == "Debian GNU/Linux 12 (bookworm)"
    assert spec.links_bits_per_s == {"eth0": 1e9, "wlan0": None}
    assert spec.notes["links_bits_per_s"] == "the driver does not report a rate for wlan0"
    assert spec.accelerator is None


def test_a_jetson_is_recognised_with_its_unified_gpu_and_power_mode(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
            "proc/device-tree/compatible": "nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0",
            "var/lib/nvpmodel/status": "pmode:0002\n",
        },
    )

    spec = detect(tmp_path)

    assert spec.accelerator is not None
    assert spec.accelerator.is_integrated
    assert spec.power_mode == "pmode:0002"


def test_a_discrete_gpu_is_found_without_importing_anything(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA H200\n"
            "IRQ:   \t\t 16\nGPU UUID: \t GPU-2f1b\n",
            "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for "
            "x86_64  580.95.05  Release Build\n",
        },
    )

    accelerator = detect(tmp_path).accelerator

    assert accelerator is not None
    assert (accelerator.name, accelerator.driver) == ("NVIDIA H200", "580.95.05")


def test_the_hottest_zone_counts(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "sys/class/thermal/thermal_zone0/temp": "41000\n",
            "sys/class/thermal/thermal_zone1/temp": "73625\n",
        },
    )

    assert temperature_c(tmp_path) == pytest.approx(73.625)


@pytest.mark.process
def test_versions_are_told_without_importing_the_libraries() -> None:
    result = run_isolated("devices_children:versions_and_modules")

    versions, modules = result.value
    assert versions == environment()
    assert {"numpy", "torch"}.isdisjoint(modules)


@pytest.mark.process
def test_the_thread_count_follows_the_environment() -> None:
    result = run_isolated("devices_children:detected_threads", env={"OMP_NUM_THREADS": "3"})

    assert result.value == 3


@pytest.mark.parametrize("name", CATALOG)
def test_each_figure_of_the_catalogue_has_a_source_and_each_gap_a_remark(name: str) -> None:
    spec = CATALOG[name]

    for field in ("soc", "memory_bytes", "memory_bandwidth_bytes_per_s", "torch_wheel"):
        known = getattr(spec, field) is not None
        assert field in (spec.sources if known else spec.notes), field
    if any(spec.links_bits_per_s.values()):
        assert "links_bits_per_s" in spec.sources


def test_the_catalogue_has_the_devices_people_ask_for() -> None:
    names = " ".join(spec.name for spec in CATALOG.values())

    for device in ("Pi Zero 2", "Pi 4", "Pi 5", "Jetson Nano", "Orin Nano", "AGX Orin", "H200"):
        assert device in names


def test_an_unknown_device_names_the_known() -> None:
    with pytest.raises(ValueError, match=r"name must be one of pi-zero-2, .* got 'toaster'"):
        find_device("toaster")
    assert find_device("pi-zero-2").memory_bytes == 512 << 20


def test_the_meters_are_listed_with_method_and_trust() -> None:
    meters = {meter.quantity: meter for meter in list_meters()}

    assert set(meters) >= {"peak host memory", "peak tensor memory", "memory limit", "energy"}
    for meter in meters.values():
        assert (meter.method is None) == (meter.trust == "none")
        assert meter.remark


def test_a_spec_is_frozen() -> None:
    with pytest.raises(AttributeError):
        DeviceSpec(name="x", kind="host").name = "y"  # type: ignore[misc]


@pytest.mark.parametrize("initialised", [True, False])
def test_the_clock_waits_for_cuda_only_where_it_is_in_use(
    monkeypatch: pytest.MonkeyPatch, initialised: bool
) -> None:
    waits: list[bool] = []
    cuda = SimpleNamespace(
        is_initialized=lambda: initialised, synchronize=lambda: waits.append(True)
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))

    assert clock.now_s() <= clock.now_s()
    assert len(waits) == (2 if initialised else 0)


@pytest.mark.process
def test_the_clock_imports_no_torch() -> None:
    assert run_isolated("devices_children:clock_and_modules").value is False


def test_an_emulator_is_named_and_a_processor_has_none(tmp_path: Path) -> None:
    exe = tmp_path / "proc/thread-self/exe"
    exe.parent.mkdir(parents=True)
    exe.symlink_to("/usr/bin/qemu-aarch64-static")
    assert detect(tmp_path).emulator == "qemu-aarch64"
    assert detect(tmp_path).soc == "emulated by qemu-aarch64"
    exe.unlink()
    exe.symlink_to("/usr/bin/python3.11")
    assert detect(tmp_path).emulator is None


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512bw avx512cd avx512dq avx512vl\n", "AVX-512"),
        ("flags\t\t: fpu avx2 avx512f\n", "AVX2"),
        ("Features\t: fp asimd evtstrm crc32 cpuid\n", "NEON"),
        ("Features\t: half thumb neon vfpv4\n", "baseline"),
        ("", "baseline"),
    ],
)
def test_the_instruction_set_of_the_kernels_is_named(
    tmp_path: Path, cpuinfo: str, name: str
) -> None:
    write(tmp_path, {"proc/cpuinfo": cpuinfo})
    assert instruction_set(tmp_path).startswith(name)
