"""The doctor finds each planted misconfiguration and its remedy, and is silent where all is well.

Cases from public threads have their link; the others are settings of the kernel's documentation.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.__main__ import main
from devices import cuda_trial, doctor
from devices.doctor import diagnose
from devices.finding import Finding
from devices.spec import Accelerator
from devices.wheels import JETSON_WHEELS, wheel_advice

CGROUP = "sys/fs/cgroup/cgroup.controllers"
CPU = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
PI_CMDLINE = (
    "coherent_pool=1M cgroup_disable=memory vc_mem.mem_base=0x3ec00000 root=PARTUUID=0 rootwait"
)
# name: files, the check that must speak, its state, words of what it found, words of the remedy
PLANTED: dict[str, tuple[dict[str, str], str, str, str, str]] = {
    # github.com/raspberrypi/linux issues 6980, 5933 and pull 6439
    "memory group off on Raspberry Pi OS": (
        {"proc/cmdline": PI_CMDLINE, CGROUP: "cpuset cpu io pids"},
        *("memory control group", "advice", "off", "cgroup_enable=memory"),
    ),
    "switched off again after it was on": (
        {"proc/cmdline": "cgroup_enable=memory cgroup_disable=memory"},
        *("memory control group", "advice", "off", "cgroup_enable=memory"),
    ),
    "switched off, with a word after it that the kernel does not know": (
        {"proc/cmdline": "cgroup_disable=memory cgroup_memory=1"},
        *("memory control group", "advice", "off", "append cgroup_enable=memory"),
    ),
    # pull 6439, the comment of 2024-12-09: "Unknown kernel command line parameters"; and pull 7442
    "an option that the kernel ignores": (
        {"proc/cmdline": f"{PI_CMDLINE} cgroup_enable=memory", CGROUP: "cpuset cpu io pids"},
        *("memory control group", "advice", "off", "this kernel ignores it"),
    ),
    # github.com/openhab/openhabian issue 2091: Raspberry Pi OS has swap in zram
    "swap in compressed memory": (
        {"proc/swaps": "Filename Type Size Used Priority\n/dev/zram0 partition 4089428 0 100\n"},
        *("swap", "advice", "/dev/zram0", "sudo swapoff /dev/zram0"),
    ),
    "an allocator preloaded for all": (
        {"etc/ld.so.preload": "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2\n"},
        *("preloaded allocator", "problem", "libjemalloc.so.2", "/etc/ld.so.preload"),
    ),
    "a governor that follows the load": (
        {CPU: "ondemand\n"},
        *("CPU governor", "advice", "ondemand", "echo performance"),
    ),
    # the output: github.com/raspberrypi/documentation issue 2546
    "a hot Raspberry Pi 4": (
        {"commands/vcgencmd-get_throttled.txt": "throttled=0x80008\n"},
        *("throttling", "advice", "soft temperature limit now", "cool the board"),
    ),
    # the value: github.com/custom-components/sensor.rpi_power issue 39
    "a weak supply": (
        {"commands/vcgencmd-get_throttled.txt": "throttled=0x50005\n"},
        *("throttling", "advice", "under-voltage now", "power supply"),
    ),
    # github.com/raspberrypi/linux issue 2367: the file said 0 beside a command that said 0x80008
    "a file that reports nothing beside a command that does": (
        {
            "commands/vcgencmd-get_throttled.txt": "throttled=0x80008\n",
            "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
        },
        *("throttling", "advice", "soft temperature limit now", "cool the board"),
    ),
    "a hot zone": (
        {
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "sys/class/thermal/thermal_zone0/temp": "82000\n",
        },
        *("temperature", "advice", "82 degrees", "let it cool"),
    ),
    "a Jetson in a small power mode": (
        {
            "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3",
            "commands/nvpmodel-q.txt": "NV Power Mode: 15W\n0\n",
        },
        *("power mode", "advice", "15W (0)", "grep POWER_MODEL"),
    ),
    # the numbers: github.com/ARK-Electronics/ark_jetson_kernel pull 20
    "an Orin Nano whose fastest mode has the number 2": (
        {
            "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=25W >\n"
            "< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< PM_CONFIG DEFAULT=1 >\n",
            "commands/nvpmodel-q.txt": "NV Power Mode: 15W\n0\n",
        },
        *("power mode", "advice", "15W (0)", "sudo nvpmodel -m 2 (MAXN_SUPER)"),
    ),
    "a Jetson Nano in its small mode, by the file of its service": (
        {
            "etc/nv_tegra_release": "# R32 (release), REVISION: 7.1",
            "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=5W >\n",
            "var/lib/nvpmodel/status": "pmode:0001",
        },
        *("power mode", "advice", "pmode:0001", "sudo nvpmodel -m 0 (MAXN)"),
    ),
    "a laptop that saves power": (
        {"sys/firmware/acpi/platform_profile": "low-power\n"},
        *("power mode", "advice", "low-power", "platform_profile"),
    ),
    "a GPU clock that follows the load": (
        {
            "sys/class/devfreq/17000000.gpu/min_freq": "306000000\n",
            "sys/class/devfreq/17000000.gpu/max_freq": "1020000000\n",
        },
        *("GPU clock", "advice", "follows the load", "sudo jetson_clocks"),
    ),
    # the value: github.com/nicolargo/glances pull 3580
    "other work on the GPU": (
        {"sys/devices/platform/gpu.0/load": "774\n"},
        *("GPU load", "advice", "77%", "end other work on the GPU"),
    ),
    "other work on the processor": (
        {"proc/loadavg": "3.10 2.20 1.10 4/512 12345\n"},
        *("CPU load", "advice", "3.1", "end other work"),
    ),
    "a laptop on its battery": (
        {
            "sys/class/power_supply/BAT0/type": "Battery\n",
            "sys/class/power_supply/BAT0/status": "Discharging\n",
        },
        *("battery", "advice", "Discharging", "plug the charger in"),
    ),
    "a slow clock source": (
        {"sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n"},
        *("clock source", "advice", "hpet", "dmesg | grep clocksource"),
    ),
    # github.com/cculianu/Fulcrum issue 223, github.com/VectifyAI/PageIndex issue 236 (workaround)
    "pages of 16 KiB": (
        {"commands/getconf-PAGE_SIZE.txt": "16384\n"},
        *("page size", "advice", "16 KiB", "kernel=kernel8.img"),
    ),
    "huge pages for all": (
        {"sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n"},
        *("transparent huge pages", "advice", "always", "echo madvise"),
    ),
    # github.com/raspberrypi/linux pulls 6273 and 6434
    "emulated memory nodes": (
        {"proc/cmdline": "numa=fake=8 system_heap.max_order=0 numa_policy=interleave"},
        *("emulated NUMA", "advice", "numa=fake=8", "numa=off"),
    ),
    "hardly any memory": (
        {"proc/meminfo": "MemTotal: 437616 kB\nMemAvailable: 90000 kB\n"},
        *("available memory", "problem", "87 MiB", "without a desktop"),
    ),
    # the entry: github.com/fastfetch-cli/fastfetch issue 1529; the crash: pytorch/pytorch 176993
    "a Raspberry Pi 4's core": (
        {"proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"},
        *("ARM core", "advice", "without atomic", "torch<2.10"),
    ),
    # github.com/mlco2/codecarbon issue 232
    "energy counters for root only": (
        {"sys/class/powercap/intel-rapl:0/name": "package-0\n"},
        *("RAPL energy counters", "advice", "not readable", "chmod a+r"),
    ),
}


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def by_check(root: Path, **asked: Any) -> dict[str, Finding]:
    return {finding.check: finding for finding in diagnose(root, **asked).findings}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_misconfiguration_is_found_with_its_remedy(tmp_path: Path, name: str) -> None:
    files, check, state, found, remedy = PLANTED[name]

    finding = by_check(write(tmp_path, files))[check]

    assert finding.state == state
    assert found in finding.found
    assert remedy in str(finding.remedy)


def test_at_least_twelve_checks_are_planted() -> None:
    assert len({check for _, check, *_ in PLANTED.values()}) >= 12


def test_a_machine_that_is_set_up_has_nothing_to_do(tmp_path: Path) -> None:
    files = {
        "proc/cmdline": f"{PI_CMDLINE} cgroup_enable=memory",
        CGROUP: "cpuset cpu io memory pids",
        "proc/swaps": "Filename Type Size Used Priority\n",
        "proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 7000000 kB\n",
        "proc/loadavg": "0.10 0.05 0.01 1/120 999\n",
        CPU: "performance\n",
        "proc/cpuinfo": "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp\n",
        "commands/vcgencmd-get_throttled.txt": "throttled=0x0\n",
        "commands/nvpmodel-q.txt": "NV Power Mode: MAXN\n0\n",
        "commands/getconf-PAGE_SIZE.txt": "4096\n",
        "sys/class/devfreq/17000000.gpu/min_freq": "1020000000\n",
        "sys/class/devfreq/17000000.gpu/max_freq": "1020000000\n",
        "sys/devices/platform/gpu.0/load": "0\n",
        "sys/class/power_supply/BAT0/type": "Battery\n",
        "sys/class/power_supply/BAT0/status": "Full\n",
        "sys/devices/system/clocksource/clocksource0/current_clocksource": "arch_sys_counter\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    }
    findings = diagnose(write(tmp_path, files)).findings

    assert len(findings) >= 12
    assert [finding for finding in findings if finding.state != "ok" or finding.remedy] == []


def test_the_fastest_mode_of_a_board_without_maxn_needs_nothing(tmp_path: Path) -> None:
    files = {
        "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=7W >\n",
        "commands/nvpmodel-q.txt": "NV Power Mode: 15W\n0\n",
    }
    assert by_check(write(tmp_path, files))["power mode"].state == "ok"


# github.com/raspberrypi/linux issue 6980: from 6.12 on /proc/cgroups lacks a group that is on
def test_the_memory_group_counts_by_its_controllers_and_not_by_proc_cgroups(
    tmp_path: Path,
) -> None:
    files = {"proc/cgroups": "cpuset\t0\t99\t1\n", CGROUP: "cpuset cpu io memory pids"}
    assert by_check(write(tmp_path, files))["memory control group"].state == "ok"


def test_a_machine_that_reports_nothing_has_no_advice(tmp_path: Path) -> None:
    assert [f.check for f in diagnose(tmp_path).findings if f.state != "ok"] == []


@pytest.mark.parametrize(
    ("l4t", "python", "words"),
    [
        ("36.4.3", (3, 11), "use Python 3.10, then pip install torch from https://pypi"),
        ("36.4.3", (3, 10), "pip install torch from https://pypi.jetson-ai-lab.io/jp6/cu126"),
        ("35.3.1", (3, 10), "Python 3.8 only, and zobench needs 3.10"),
        ("38.2.0", (3, 12), "torch nvpl-blas nvpl-lapack nvidia-cudss-cu13 from https://pypi"),
        ("38.2.0", (3, 11), "use Python 3.12, then pip install"),
        ("39.2.0", (3, 12), "Jetson-Orin-Wheels"),
        ("32.7.1", (3, 11), "Python 3.6 only"),
        ("99.1", (3, 12), "no wheel is known for L4T 99.1"),
    ],
)
def test_the_wheel_goes_by_l4t_and_python(l4t: str, python: tuple[int, int], words: str) -> None:
    assert words in wheel_advice(l4t, python)


def test_each_wheel_has_a_source() -> None:
    assert all(row.source.startswith("https://") for row in JETSON_WHEELS)


def here(monkeypatch: pytest.MonkeyPatch, l4t: str | None, why: str | None) -> Finding:
    gpu = Accelerator(name="Orin (nvgpu)", is_integrated=True)
    monkeypatch.setattr(doctor, "find_accelerator", lambda root: gpu)
    monkeypatch.setattr(doctor, "l4t_version", lambda root: l4t)
    return by_check(Path("/"), try_cuda=lambda: why)["CUDA kernel"]


def test_a_wheel_without_kernels_for_the_chip_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = here(monkeypatch, "36.4.7", "CUDA error: no kernel image is available")

    assert finding.state == "problem"
    assert "no kernel image" in finding.found
    assert "jp6/cu126" in str(finding.remedy)
    assert here(monkeypatch, None, None).state == "ok"


def test_a_full_disk_is_a_problem() -> None:
    finding = by_check(Path("/"), free_bytes=lambda: 1 << 30)["disk"]
    assert (finding.state, finding.found) == ("problem", "1.0 GiB free here")


@pytest.mark.parametrize(
    ("cuda", "words"),
    [
        (None, "a build without CUDA"),
        ("13.0", "no kernel image is available for execution on the device"),
    ],
)
def test_the_trial_says_what_went_wrong(
    monkeypatch: pytest.MonkeyPatch, cuda: str | None, words: str
) -> None:
    def zeros(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    torch = SimpleNamespace(
        __version__="2.11.0",
        version=SimpleNamespace(cuda=cuda),
        cuda=SimpleNamespace(get_arch_list=lambda: ["sm_110"]),
        zeros=zeros,
    )
    monkeypatch.setitem(sys.modules, "torch", torch)

    assert words in str(cuda_trial.try_kernel())


def test_the_command_shows_findings_and_fails_on_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, PLANTED["an allocator preloaded for all"][0])

    assert main(["devices", "--check", "--root", str(tmp_path), "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert any(finding["state"] == "problem" for finding in findings)

    assert main(["devices", "--check", "--root", str(tmp_path)]) == 1
    assert "what to do" in capsys.readouterr().out


def test_brackets_in_a_remedy_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """rich takes [bench] for markup, and would print `pip install "zobench"`."""
    listed = [("torch", False, 'pip install "zobench[bench]"')]
    monkeypatch.setattr("zo_core.kernels.list_kernels", lambda: listed)

    assert main(["devices"]) == 0
    assert "zobench[bench]" in capsys.readouterr().out


def test_this_machine_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "--check"]) in (0, 1)
    shown = capsys.readouterr().out
    assert "C kernels" in shown
    assert "disk" in shown
