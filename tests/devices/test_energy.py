"""Energy meters on fake sysfs trees and a fake Zeus; figures worked out by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from devices import energy
from devices.energy import NoEnergy, ZeusEnergy, energy_meter
from devices.rapl import RaplEnergy
from devices.sampled_power import SampledPower
from devices.sensors import find_rails, find_rapl_zones


def write(folder: Path, files: dict[str, str | int]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")
    return folder


def hwmon(root: Path, number: int, chip: str, files: dict[str, str | int]) -> Path:
    return write(root / f"sys/class/hwmon/hwmon{number}", {"name": chip, **files})


def ina3221(labels: dict[int, str], volts: dict[int, int], amps: dict[int, int]) -> dict[str, Any]:
    files: dict[str, Any] = {f"in{n}_label": label for n, label in labels.items()}
    files |= {f"in{n}_input": mv for n, mv in volts.items()}
    return files | {f"curr{n}_input": ma for n, ma in amps.items()}


def orin_nano(root: Path) -> Path:
    labels = {1: "VDD_IN", 2: "VDD_CPU_GPU_CV", 3: "VDD_SOC"}
    files = ina3221(labels, {1: 5000, 2: 5000, 3: 5000}, {1: 1000, 2: 400, 3: 200})
    return hwmon(root, 1, "ina3221", files)


def agx_orin(root: Path) -> None:
    labels = {1: "VDD_GPU_SOC", 2: "VDD_CPU_CV", 3: "VIN_SYS_5V0"}
    volts, amps = {1: 20000, 2: 20000, 3: 5000}, {1: 200, 2: 100, 3: 800}
    hwmon(root, 3, "ina3221", ina3221(labels, volts, amps))
    hwmon(root, 4, "ina3221", ina3221({2: "VDDQ_VDD2_1V8AO"}, {2: 5000}, {2: 80}))


def package(root: Path, number: int, joules: float, wrap_j: float = 262_143.0) -> Path:
    files: dict[str, str | int] = {
        "name": f"package-{number}",
        "energy_uj": int(joules * 1e6),
        "max_energy_range_uj": int(wrap_j * 1e6),
    }
    return write(root / f"sys/class/powercap/intel-rapl:{number}", files)


def set_joules(zone: Path, joules: float) -> None:
    (zone / "energy_uj").write_text(f"{int(joules * 1e6)}\n")


def test_a_machine_without_sensors_has_no_energy_and_says_why(tmp_path: Path) -> None:
    meter = energy_meter(tmp_path)

    meter.start()
    reading = meter.stop()

    assert isinstance(meter, NoEnergy)
    assert reading.value is None
    for way_out in ("RAPL", "Jetson", "pip install zeus"):
        assert way_out in str(reading.reason)


def test_rapl_adds_packages_and_dram_and_leaves_out_their_parts(tmp_path: Path) -> None:
    zones = [package(tmp_path, 0, 10.0), package(tmp_path, 1, 20.0)]
    dram = write(
        tmp_path / "sys/class/powercap/intel-rapl:0:1",
        {"name": "dram", "energy_uj": 5_000_000, "max_energy_range_uj": 65_712_999_613},
    )
    core = write(
        tmp_path / "sys/class/powercap/intel-rapl:0:0",
        {"name": "core", "energy_uj": 7_000_000, "max_energy_range_uj": 262_143_000_000},
    )
    meter = RaplEnergy(find_rapl_zones(tmp_path))

    meter.start()
    set_joules(zones[0], 13.0)
    set_joules(zones[1], 24.0)
    set_joules(dram, 5.5)
    set_joules(core, 9.0)
    reading = meter.stop()

    assert reading.value == pytest.approx(3.0 + 4.0 + 0.5)
    assert reading.method == (
        "RAPL: package-0 intel-rapl:0 + dram intel-rapl:0:1 + package-1 intel-rapl:1"
    )


def test_a_counter_that_wraps_is_undone(tmp_path: Path) -> None:
    zone = package(tmp_path, 0, 99.0, wrap_j=100.0)
    meter = RaplEnergy(find_rapl_zones(tmp_path))

    meter.start()
    set_joules(zone, 4.0)

    assert meter.stop().value == pytest.approx(5.0)


def test_a_rapl_counter_that_did_not_move_is_none_and_not_zero(tmp_path: Path) -> None:
    package(tmp_path, 0, 99.0)
    meter = RaplEnergy(find_rapl_zones(tmp_path))

    meter.start()

    assert meter.stop().value is None


def test_unreadable_rapl_counters_are_no_meter_and_the_way_out_is_told(tmp_path: Path) -> None:
    zone = package(tmp_path, 0, 1.0)
    (zone / "energy_uj").unlink()
    (zone / "energy_uj").mkdir()  # unreadable for root as well

    reading = energy_meter(tmp_path).stop()

    assert reading.value is None
    assert "root only" in str(reading.reason)


def test_orin_nano_reads_its_input_rail_and_not_the_rails_below_it(tmp_path: Path) -> None:
    orin_nano(tmp_path)

    rails = find_rails(tmp_path)

    assert {name: read() for name, read in rails.items()} == {"VDD_IN": pytest.approx(5.0)}


def test_agx_orin_adds_its_three_rails(tmp_path: Path) -> None:
    agx_orin(tmp_path)

    rails = find_rails(tmp_path)

    assert sum(read() for read in rails.values()) == pytest.approx(4.0 + 2.0 + 4.0)
    assert "VDDQ_VDD2_1V8AO" not in rails


def test_the_ina238_reads_the_whole_input_in_microwatts(tmp_path: Path) -> None:
    agx_orin(tmp_path)
    hwmon(tmp_path, 9, "ina238", {"power1_input": 42_500_000})
    assert "VIN" not in find_rails(tmp_path), "on a board of an unknown kind it may be any rail"
    write(tmp_path / "proc/device-tree", {"compatible": "nvidia,p4071-0000\0nvidia,tegra264"})

    rails = find_rails(tmp_path)

    assert {name: read() for name, read in rails.items()} == {"VIN": pytest.approx(42.5)}


def test_jetson_nano_with_the_old_driver_reads_its_5_v_input(tmp_path: Path) -> None:
    write(
        tmp_path / "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0",
        {
            "rail_name_0": "POM_5V_IN",
            "in_power0_input": 1750,
            "rail_name_1": "POM_5V_GPU",
            "in_power1_input": 0,
        },
    )

    rails = find_rails(tmp_path)

    assert {name: read() for name, read in rails.items()} == {"POM_5V_IN": pytest.approx(1.75)}


def test_other_sensors_and_unknown_rails_are_no_meter(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, "coretemp", {"temp1_input": 40_000})
    hwmon(tmp_path, 1, "ina3221", ina3221({1: "VDD_FAN"}, {1: 5000}, {1: 100}))

    assert find_rails(tmp_path) == {}
    assert isinstance(energy_meter(tmp_path), NoEnergy)


def test_power_is_integrated_by_the_trapezoid_rule() -> None:
    watts = iter([2.0, 6.0])
    seconds = iter([10.0, 13.0])
    meter = SampledPower(
        {"rail": lambda: next(watts)}, "sensor", interval_s=60.0, clock=lambda: next(seconds)
    )

    meter.start()
    reading = meter.stop()

    assert reading.value == pytest.approx(3.0 * (2.0 + 6.0) / 2)
    assert reading.method == "sensor, sampled every 60000 ms"


def test_a_jetson_is_preferred_to_rapl(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    package(tmp_path, 0, 1.0)

    assert isinstance(energy_meter(tmp_path), SampledPower)


class FakeMonitor:
    """The part of zeus.monitor.ZeusMonitor that is used."""

    def __init__(self, gpus: dict[int, float], cpus: dict[int, float] | None = None) -> None:
        self.gpu_indices, self.cpu_indices = list(gpus), list(cpus or {})
        self._window = SimpleNamespace(gpu_energy=gpus, cpu_energy=cpus, dram_energy=None)
        self.open: list[str] = []

    def begin_window(self, key: str) -> None:
        self.open.append(key)

    def end_window(self, key: str) -> SimpleNamespace:
        self.open.remove(key)
        return self._window


def test_zeus_parts_are_added_and_named() -> None:
    meter = ZeusEnergy(FakeMonitor({0: 10.0, 1: 5.0}, {0: 2.5}))

    meter.start()
    reading = meter.stop()

    assert reading.value == pytest.approx(17.5)
    assert reading.method == "Zeus counters: GPU + CPU"


def test_a_zeus_counter_that_did_not_move_is_none_and_not_zero() -> None:
    meter = ZeusEnergy(FakeMonitor({0: 0.0}))

    meter.start()
    reading = meter.stop()

    assert reading.value is None
    assert "shorter than the counter's period" in str(reading.reason)


def test_zeus_is_used_where_it_has_counters_and_passed_over_where_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monitors = [FakeMonitor({0: 1.0}), FakeMonitor({})]
    module = ModuleType("zeus.monitor")
    module.ZeusMonitor = lambda: monitors.pop(0)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "zeus", ModuleType("zeus"))
    monkeypatch.setitem(sys.modules, "zeus.monitor", module)
    monkeypatch.setattr(energy.importlib.util, "find_spec", lambda name: object())

    assert isinstance(energy_meter(tmp_path), ZeusEnergy)
    assert isinstance(energy_meter(tmp_path), NoEnergy)
