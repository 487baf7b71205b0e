"""Readers of the system against odd machines: a value or None, never an exception.

GIVEN each file that a reader knows, missing, empty, a folder, binary, or with a word for a number,
WHEN all readers run, THEN none raises, and what the profile lacks has a reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from devices import cgroup, detect, energy_meter, list_meters
from devices.accelerator import driver_version, find_accelerator
from devices.allocator import preloads_for_all
from devices.board import board_name, is_name
from devices.detect import links
from devices.host import read_host
from devices.huge_pages import has_huge_pages
from devices.jetson import are_clocks_locked, clocks_hz, gpu_load, l4t_version
from devices.kernel import clock_source, memory_options, page_size_bytes
from devices.limits import CgroupLimit
from devices.memory import huge_page_mode, read_host_memory
from devices.pmic import read_watts
from devices.sensors import find_rails, find_rapl_zones
from devices.thermal import temperature_c, throttling
from devices.traffic import _has_capabilities, count_traffic, read_counters

GROUP_V1, GROUP_V2 = "sys/fs/cgroup/memory/job", "sys/fs/cgroup/user.slice"
# A machine with everything that some reader looks for.
MACHINE = {
    "proc/device-tree/model": "NVIDIA Jetson Nano Developer Kit\0",
    "proc/device-tree/compatible": "nvidia,p3450-0000\0nvidia,tegra210\0",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\n",
    "proc/meminfo": "MemTotal:        4051048 kB\nSwapTotal:       2025520 kB\n",
    "proc/cmdline": "root=/dev/mmcblk0p1 cma=64M quiet\n",
    "proc/self/status": "VmHWM:\t 300 kB\nVmRSS:\t 200 kB\nVmSwap:\t 4 kB\nHugetlbPages:\t 0 kB\n",
    "proc/self/cgroup": "4:memory:/job\n0::/user.slice\n",
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05\n",
    "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t NVIDIA H200\n",
    "sys/block/zram0/mm_stat": "4096 74 12288 0 12288 0 0 0 0\n",
    "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/rail_name_0": "POM_5V_IN\n",
    "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power0_input": "1750\n",
    "sys/class/dmi/id/product_name": "ThinkPad T480\n",
    "sys/class/dmi/id/board_name": "20L5\n",
    "sys/class/hwmon/hwmon0/name": "ina3221\n",
    "sys/class/hwmon/hwmon0/in1_label": "VDD_IN\n",
    "sys/class/hwmon/hwmon0/in1_input": "5000\n",
    "sys/class/hwmon/hwmon0/curr1_input": "1000\n",
    "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
    "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0\n",
    "sys/class/hwmon/hwmon2/name": "soctherm_oc\n",
    "sys/class/hwmon/hwmon2/oc1_event_cnt": "0\n",
    "sys/class/hwmon/hwmon3/name": "ina238\n",
    "sys/class/hwmon/hwmon3/power1_input": "42500000\n",
    "sys/class/net/eth0/speed": "1000\n",
    "sys/class/net/eth0/statistics/rx_bytes": "5\n",
    "sys/class/net/eth0/statistics/tx_bytes": "6\n",
    "sys/class/net/eth0/statistics/rx_packets": "1\n",
    "sys/class/net/eth0/statistics/tx_packets": "1\n",
    "sys/class/powercap/intel-rapl:0/name": "package-0\n",
    "sys/class/powercap/intel-rapl:0/energy_uj": "1000000\n",
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "262143000000\n",
    "sys/class/thermal/thermal_zone0/type": "CPU-therm\n",
    "sys/class/thermal/thermal_zone0/temp": "41000\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "0\n",
    "sys/firmware/acpi/platform_profile": "balanced\n",
    "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "0\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "var/lib/nvpmodel/status": "pmode:0001\n",
    "commands/uname-a.txt": "Linux nano 4.9.253-tegra #1 SMP PREEMPT 2022 aarch64 GNU/Linux\n",
    "commands/getconf-PAGE_SIZE.txt": "4096\n",
    "commands/vcgencmd-get_throttled.txt": "throttled=0x0\n",
    "commands/vcgencmd-pmic_read_adc.txt": "HDMI_A current(22)=0.5A\nHDMI_V volt(23)=5.0V\n",
    "commands/nvpmodel-q.txt": "NV Power Mode: MAXN\n0\n",
    "sys/class/devfreq/57000000.gpu/cur_freq": "76800000\n",
    "sys/class/devfreq/57000000.gpu/min_freq": "76800000\n",
    "sys/class/devfreq/57000000.gpu/max_freq": "921600000\n",
    "sys/class/devfreq/57000000.gpu/device/of_node/name": "gpu\0",
    "sys/devices/platform/gpu.0/load": "774\n",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "arch_sys_counter\n",
    "sys/kernel/debug/bpmp/debug/clk/emc/rate": "1600000000\n",
    "sys/kernel/debug/bpmp/debug/clk/emc/max_rate": "1600000000\n",
    "etc/nv_tegra_release": "# R32 (release), REVISION: 7.1, GCID: 29818004\n",
    "etc/ld.so.preload": "/usr/lib/libsnoopy.so\n",
    "etc/os-release": 'PRETTY_NAME="Ubuntu 18.04.6 LTS"\n',
    "sys/fs/cgroup/cgroup.controllers": "memory\n",
    f"{GROUP_V1}/memory.usage_in_bytes": "4096\n",
    f"{GROUP_V1}/memory.max_usage_in_bytes": "8192\n",
    f"{GROUP_V1}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
    f"{GROUP_V1}/memory.failcnt": "0\n",
    f"{GROUP_V1}/cgroup.procs": "1\n",
    f"{GROUP_V2}/memory.current": "4096\n",
    f"{GROUP_V2}/memory.peak": "8192\n",
    f"{GROUP_V2}/memory.events": "oom 0\noom_kill 0\n",
    f"{GROUP_V2}/cgroup.procs": "1\n",
}


def missing(path: Path) -> None:
    path.unlink()


def a_folder(path: Path) -> None:  # unreadable for root as well
    path.unlink()
    path.mkdir()


def text(content: bytes) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.write_bytes(content)

    return spoil


SPOILERS = {
    "missing": missing,
    "a folder": a_folder,
    "empty": text(b""),
    "blank": text(b" \n\n"),
    "binary": text(bytes(range(256)) * 4),
    "not UTF-8": text("Gerät 5 ".encode("latin-1")),
    "max": text(b"max\n"),
    "negative": text(b"-1\n"),
    "with a unit": text(b"45 C\n"),
    "a fraction": text(b"1.5\n"),
    "huge": text(b"9" * 5000 + b"\n"),
    "rows without values": text(b"oom_kill\n:\n::\nModel\nVmRSS: kB\nMemTotal: many kB\n"),
}


def energy_of(root: Path) -> object:
    meter = energy_meter(root)
    meter.start()
    return meter.stop()


def traffic_of(root: Path) -> object:
    with count_traffic("eth0", root) as traffic:
        pass
    return traffic.sent_bytes


def groups_of(root: Path) -> object:
    found = cgroup.own_group(root / "proc", root / "sys/fs/cgroup")
    groups = [found] if found else []
    groups += [cgroup.Group(path=root / GROUP_V1, version="cgroup v1")]
    groups += [cgroup.Group(path=root / GROUP_V2, version="cgroup v2")]
    return [(g.current_bytes(), g.peak_bytes(), g.kills(), g.refusals(), g.pids()) for g in groups]


READERS: list[Callable[[Path], object]] = [
    *(board_name, driver_version, links, has_huge_pages, memory_options, huge_page_mode),
    *(read_host_memory, find_rapl_zones, temperature_c, throttling),
    *(energy_of, traffic_of, groups_of, l4t_version, clocks_hz, are_clocks_locked, gpu_load),
    *(clock_source, page_size_bytes, read_host, read_watts, find_accelerator, preloads_for_all),
    lambda root: read_counters("eth0", root),
    lambda root: _has_capabilities(root / "proc/self/status"),
    lambda root: [read() for read in find_rails(root).values()],
]


def build(root: Path) -> Path:
    for name, content in MACHINE.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return root


def check_profile(root: Path) -> None:
    spec = detect(root).to_json()
    json.dumps(spec, allow_nan=False)
    reasons = set(spec["notes"])
    assert {name for name, value in spec.items() if value is None} <= reasons


def test_the_machine_of_these_tests_has_what_every_reader_looks_for(tmp_path: Path) -> None:
    spec = detect(build(tmp_path))

    assert spec.name == "NVIDIA Jetson Nano Developer Kit"
    assert (spec.memory_bytes, spec.swap_bytes) == (4051048 * 1024, 2025520 * 1024)
    assert (spec.temperature_c, spec.huge_page_mode) == (41.0, "madvise")
    assert spec.preloads == ("libsnoopy.so",)
    assert (spec.l4t, spec.jetpack, spec.power_mode) == ("32.7.1", "4", "balanced")
    assert spec.clocks_hz is not None
    assert spec.clocks_hz["gpu max"] == 921_600_000
    assert (spec.clocks_locked, gpu_load(tmp_path)) == (False, 0.774)
    assert None not in (energy_of(tmp_path), read_counters("eth0", tmp_path))
    check_profile(tmp_path)


@pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS)
def test_no_reader_raises_whatever_one_file_contains(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    build(tmp_path)
    for name, content in MACHINE.items():
        file = tmp_path / name
        spoil(file)
        for reader in READERS:
            reader(tmp_path)
        if file.is_dir():
            file.rmdir()
        file.write_text(content)


@pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS)
def test_a_machine_with_every_file_spoiled_has_a_profile_with_reasons(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    build(tmp_path)
    for name in MACHINE:
        spoil(tmp_path / name)

    check_profile(tmp_path)
    for reader in READERS:
        reader(tmp_path)


@pytest.mark.parametrize(
    ("events", "version"),
    [
        ("low 0\nhigh 0\nmax 3\noom 2\n", "cgroup v2"),  # before Linux 4.13
        ("oom_kill_disable 0\nunder_oom 0\n", "cgroup v1"),
    ],
)
def test_without_a_count_of_kills_a_killed_child_at_its_limit_did_not_fit(
    tmp_path: Path, events: str, version: str
) -> None:
    group = cgroup.Group(path=tmp_path, version=version)
    group.file("refusals").write_text("2\n")
    group.file("kills").write_text(events)
    limit = CgroupLimit(group, 1 << 20)

    assert group.kills() is None
    assert limit.exceeded(was_killed=True)
    assert not limit.exceeded(was_killed=False)  # it ran into the limit and was not stopped


def test_a_group_that_the_kernel_tells_nothing_of_was_not_exceeded(tmp_path: Path) -> None:
    limit = CgroupLimit(cgroup.Group(path=tmp_path, version="cgroup v2"), 1 << 20)

    assert not limit.exceeded(was_killed=True)
    assert limit.peak().value is None


def test_a_sensor_chip_without_a_name_is_passed_over(tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "sys/class/hwmon/hwmon1/name").unlink()

    assert list(find_rails(tmp_path)) == ["VIN"]


def test_a_sensor_that_stops_answering_gives_no_energy(tmp_path: Path) -> None:
    build(tmp_path)
    meter = energy_meter(tmp_path)
    meter.start()
    (tmp_path / "sys/class/hwmon/hwmon3/power1_input").write_text("")

    reading = meter.stop()

    assert reading.value is None
    assert "did not answer" in str(reading.reason)


def test_a_zone_that_is_fixed_at_100_degrees_is_not_the_temperature(tmp_path: Path) -> None:
    zones = {"A0-therm": 39_500, "CPU-therm": 33_000, "PMIC-Die": 100_000, "broken": -256_000}
    for number, (kind, millidegrees) in enumerate(zones.items()):
        zone = tmp_path / f"sys/class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "type").write_text(f"{kind}\n")
        (zone / "temp").write_text(f"{millidegrees}\n")

    assert temperature_c(tmp_path) == pytest.approx(39.5)


FILL_INS = ["To Be Filled By O.E.M.", "System Product Name", "Default string", "Not Specified"]
FILL_INS += ["O.E.M.", "To be filled by O.E.M. Product", "0123456789", "None", "xxxxxxxx", "\ufffd"]


@pytest.mark.parametrize("fill_in", FILL_INS)
def test_a_fill_in_of_the_firmware_is_not_a_name(tmp_path: Path, fill_in: str) -> None:
    files = tmp_path / "sys/class/dmi/id"
    files.mkdir(parents=True)
    (files / "product_name").write_text(f"{fill_in}\n")

    assert board_name(tmp_path) is None
    assert detect(tmp_path).name != fill_in
    (files / "board_name").write_text("PRIME B450M-A\n")
    assert board_name(tmp_path) == "PRIME B450M-A"


@pytest.mark.parametrize(
    "name", ["ThinkPad T480", "20L5", "Standard PC (Q35 + ICH9, 2009)", "ROG STRIX", "XPS 13 9360"]
)
def test_a_name_is_a_name(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    ("bits", "phrases"),
    [
        ("0", ()),
        ("50000", ("under-voltage since boot", "throttled since boot")),
        ("0x50005", ("under-voltage now", "under-voltage since boot")),
    ],
)
def test_a_raspberry_pi_reports_under_voltage(
    tmp_path: Path, bits: str, phrases: tuple[str, ...]
) -> None:
    file = tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled"
    file.parent.mkdir(parents=True)
    file.write_text(f"{bits}\n")

    found = throttling(tmp_path)

    assert found is not None
    assert found[: len(phrases)] == phrases
    assert bool(found) == bool(phrases)


def test_throttle_events_are_counted_and_none_readable_is_none(tmp_path: Path) -> None:
    assert throttling(tmp_path) is None
    folder = tmp_path / "sys/devices/system/cpu/cpu0/thermal_throttle"
    folder.mkdir(parents=True)
    (folder / "core_throttle_count").write_text("0\n")
    (folder / "package_throttle_count").write_text("7\n")

    assert throttling(tmp_path) == ("package throttled 7 times since boot",)


def test_only_words_on_memory_leave_the_kernels_command_line(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cmdline").write_text(
        "root=/dev/sda1 mem=512M numa=fake=4 numa_policy=interleave ip=10.1.2.3 user.token=memory "
        "cgroup_disable=memory hugepagesz=2M hugepages=12 quiet -- mem=secret\n"
    )

    assert memory_options(tmp_path) == (
        *("mem=512M", "numa=fake=4", "numa_policy=interleave"),
        *("cgroup_disable=memory", "hugepagesz=2M", "hugepages=12"),
    )


def test_a_system_that_psutil_does_not_know_has_a_profile_with_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("[Errno 13] Permission denied: '/proc/stat'")  # as on Android

    for name in ("cpu_count", "virtual_memory", "swap_memory"):
        monkeypatch.setattr(psutil, name, refuse)

    assert detect(tmp_path).memory_bytes is None
    check_profile(tmp_path)


def test_a_folder_that_may_not_be_entered_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(f"[Errno 13] Permission denied: '{path}'")

    monkeypatch.setattr(Path, "exists", refuse)

    assert list_meters()
    assert detect().kind == "host"
