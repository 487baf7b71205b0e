"""NVML's energy counter and facts against a faked driver; what it answers is what people reported.

Orin answers its name and "Not Supported" to all else: github.com/nicolargo/glances pull 3580,
github.com/HazyResearch/intelligence-per-watt issue 40 (JetPack 7.2.1). GB10 has no memory:
github.com/XuehaiPan/nvitop pull 208. The counter moves every 10 ms or so, not with every read:
github.com/gpuopenanalytics/pynvml pull 18.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from devices.energy import NoEnergy, energy_meter, shortest_region_s
from devices.nvml import NotReportedError, NvmlGpu, open_gpu
from devices.nvml_energy import UPDATES, NvmlEnergy, find_period_s, nvml_energy

MIB = 1 << 20
H100 = {
    "nvmlDeviceGetName": "NVIDIA H100 80GB HBM3",
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=81_559 * MIB),
    "nvmlDeviceGetEnforcedPowerLimit": 700_000,
    "nvmlDeviceGetClockInfo": 1_980,
    "nvmlDeviceGetMaxClockInfo": 1_980,
    "nvmlDeviceGetTemperature": 33,
}
ORIN = {"nvmlDeviceGetName": "Orin (nvgpu)"}


class NVMLError(Exception):
    pass


class FakeNvml(ModuleType):
    """A pynvml that answers what it is given and "Not Supported" to all else."""

    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0
    NVMLError = NVMLError

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__("pynvml")
        self.answers = answers

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.173.02"

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid != "GPU-1":
            raise NVMLError("Not Found")
        return uuid

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvmlDeviceGet"):
            raise AttributeError(name)

        def answer(handle: object, *_: object) -> Any:
            if name not in self.answers:
                raise NVMLError("Not Supported")
            value = self.answers[name]
            return value() if callable(value) else value

        return answer


class SteppingCounter:
    """A counter that moves every `period_s` seconds of a clock that waits move."""

    def __init__(self, period_s: float, watts: float) -> None:
        self.now_s, self._period_s, self._watts = 0.0, period_s, watts

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def clock(self) -> float:
        return self.now_s

    def gpu(self) -> NvmlGpu:
        return NvmlGpu(FakeNvml({"nvmlDeviceGetTotalEnergyConsumption": self._millijoules}), 0)

    def _millijoules(self) -> int:
        updates = int(self.now_s / self._period_s + 1e-9)
        return round(1e3 * self._watts * self._period_s * updates) + 1_000_000


@pytest.mark.parametrize("period_s", [0.01, 0.02, 0.1])
def test_the_counters_period_is_found_and_a_region_of_20_has_its_joules(period_s: float) -> None:
    counter = SteppingCounter(period_s, watts=250.0)
    found_s = find_period_s(counter.gpu(), counter.clock, counter.sleep)
    assert found_s == pytest.approx(period_s, abs=0.0025)
    meter = NvmlEnergy(counter.gpu(), found_s, counter.clock)

    meter.start()
    counter.sleep(1.1 * UPDATES * period_s)
    reading = meter.stop()

    assert reading.value == pytest.approx(250 * 1.1 * UPDATES * period_s, rel=0.1)
    assert "total-energy counter" in reading.method


def test_a_region_shorter_than_20_updates_is_none_and_says_to_repeat() -> None:
    counter = SteppingCounter(0.1, watts=250.0)
    meter = NvmlEnergy(counter.gpu(), 0.1, counter.clock)

    meter.start()
    counter.sleep(1.9)
    reading = meter.stop()

    assert reading.value is None
    assert "repeat" in str(reading.reason)
    assert shortest_region_s(meter) == pytest.approx(2.0)


def test_a_counter_that_stands_still_or_is_reset_gives_no_figure() -> None:
    still = SteppingCounter(100.0, watts=250.0)
    with pytest.raises(NotReportedError, match="moved 0 times"):
        find_period_s(still.gpu(), still.clock, still.sleep)

    millijoules = iter([5_000, 10])
    answers = {"nvmlDeviceGetTotalEnergyConsumption": lambda: next(millijoules)}
    meter = NvmlEnergy(NvmlGpu(FakeNvml(answers), 0), 0.0)
    meter.start()
    assert "reset" in str(meter.stop().reason)


def test_facts_of_a_gpu_with_all_and_of_one_with_its_name_only() -> None:
    known = NvmlGpu(FakeNvml(H100), 0).facts()
    assert known.memory_bytes == 81_559 * MIB
    assert (known.power_limit_w, known.clock_mhz, known.temperature_c) == (700.0, 1_980, 33)
    assert known.driver == "580.173.02"

    orin = NvmlGpu(FakeNvml(ORIN), 0).facts()
    assert orin.name == "Orin (nvgpu)"
    assert {orin.memory_bytes, orin.power_limit_w, orin.clock_mhz, orin.temperature_c} == {None}


def test_a_memory_of_zero_is_not_a_figure() -> None:
    zero = {"nvmlDeviceGetMemoryInfo": SimpleNamespace(total=0)}
    assert NvmlGpu(FakeNvml(zero), 0).facts().memory_bytes is None


def cuda_in_use(monkeypatch: pytest.MonkeyPatch, uuid: str, answers: dict[str, Any]) -> None:
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        current_device=lambda: 0,
        get_device_properties=lambda index: SimpleNamespace(uuid=uuid),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(answers))


def test_orins_missing_counter_is_no_meter_and_the_reason_is_nvmls(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    cuda_in_use(monkeypatch, "1", ORIN)

    meter = energy_meter(tmp_path)

    assert isinstance(meter, NoEnergy)
    assert "Not Supported" in str(meter.stop().reason)


def test_the_gpu_in_use_is_the_one_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda_in_use(monkeypatch, "2", H100)
    with pytest.raises(NotReportedError, match="Not Found"):
        nvml_energy()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace()))
    monkeypatch.delitem(sys.modules, "torch")
    assert nvml_energy() is None


def test_without_nvidia_ml_py_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(NotReportedError, match="nvidia-ml-py is not installed"):
        open_gpu()
