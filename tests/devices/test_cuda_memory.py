"""Device memory with a fake driver; its figures are readings that people reported.

GB10: github.com/XuehaiPan/nvitop pull 208 (driver 580.173.02: NVML "Not Supported", MemTotal
127600748 kB, MemAvailable 118566368 kB). Page cache counted as used by mem_get_info there:
github.com/vllm-project/vllm issue 48140.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from devices import measure_device
from devices.accelerator import driver_version
from devices.nvml import NotReportedError, own_process_bytes

KIB, MIB = 1 << 10, 1 << 20
GB10_AVAILABLE = 118_566_368 * KIB


class FakeDriver:
    """A driver whose allocator follows what the test does."""

    def __init__(self, *, integrated: bool, process: int | str, available: int = 0) -> None:
        self._integrated, self._process, self.available = integrated, process, available
        self.allocated = self.allocated_peak = self.reserved = self.reserved_peak = 0
        self.nvml_asked = self.workspaces = 0

    def allocate(self, size_bytes: int) -> None:
        self.allocated += size_bytes
        self.allocated_peak = max(self.allocated_peak, self.allocated)
        self.reserved = max(self.reserved, -(-self.allocated // (2 * MIB)) * 2 * MIB)
        self.reserved_peak = max(self.reserved_peak, self.reserved)

    def is_integrated(self) -> bool:
        return self._integrated

    def keep_workspace(self, size_bytes: int) -> None:
        self.allocate(size_bytes)
        self.workspaces += size_bytes

    def empty_caches(self) -> None:
        self.allocate(-self.workspaces)
        self.workspaces, self.reserved = 0, 0
        self.allocate(0)

    def total_bytes(self) -> int:
        return 80 << 30

    def reset_peaks(self) -> None:
        self.allocated_peak, self.reserved_peak = self.allocated, self.reserved

    def allocated_bytes(self) -> tuple[int, int]:
        return self.allocated, self.allocated_peak

    def reserved_bytes(self) -> tuple[int, int]:
        return self.reserved, self.reserved_peak

    def process_bytes(self) -> int:
        self.nvml_asked += 1
        if isinstance(self._process, str):
            raise NotReportedError(self._process)
        return self._process + self.reserved

    def available_bytes(self) -> int:
        return self.available


def test_allocated_reserved_process_and_context_are_told_apart() -> None:
    driver = FakeDriver(integrated=False, process=520 * MIB)
    driver.allocate(10 * MIB)
    driver.allocate(500 * MIB)  # an earlier peak that must not be seen
    driver.allocate(-500 * MIB)

    with measure_device(driver=driver) as region:
        driver.allocate(101 * MIB)
        driver.allocate(-101 * MIB)

    assert region.baseline_bytes.value == 10 * MIB
    assert region.allocated_bytes.value == 111 * MIB
    assert region.allocated_above_baseline_bytes.value == 101 * MIB
    assert region.reserved_bytes.value == 112 * MIB
    assert region.process_bytes.value == (520 + 112) * MIB
    assert region.context_bytes.value == 520 * MIB
    assert region.available_fall_bytes.value is None


@pytest.mark.parametrize("workspaces_mib", [(32,), (32, 32)], ids=["forward", "backward too"])
def test_the_baseline_does_not_depend_on_what_the_step_before_left(
    workspaces_mib: tuple[int, ...],
) -> None:
    driver = FakeDriver(integrated=False, process=520 * MIB)
    driver.allocate(43 * MIB)  # the weights
    for size in workspaces_mib:
        driver.keep_workspace(size * MIB)

    with measure_device(driver=driver) as region:
        for size in workspaces_mib:
            driver.keep_workspace(size * MIB)

    assert region.baseline_bytes.value == 43 * MIB
    assert region.allocated_above_baseline_bytes.value == sum(workspaces_mib) * MIB
    assert region.context_bytes.value == 520 * MIB
    assert region.total_bytes.value == 80 << 30


def test_on_unified_memory_nvml_is_not_asked_and_memavailable_is() -> None:
    driver = FakeDriver(integrated=True, process="Not Supported", available=GB10_AVAILABLE)

    with measure_device(driver=driver) as region:
        driver.allocate(64 * MIB)
        driver.available -= 70 * MIB

    assert driver.nvml_asked == 0
    assert region.is_integrated
    assert region.allocated_bytes.value == 64 * MIB
    assert region.available_fall_bytes.value == 70 * MIB
    for figure in (region.process_bytes, region.context_bytes):
        assert figure.value is None
        assert "unified memory" in str(figure.reason)


def test_what_nvml_does_not_tell_is_none_with_its_reason() -> None:
    driver = FakeDriver(integrated=False, process="NVML: Insufficient Permissions")

    with measure_device(driver=driver) as region:
        driver.allocate(8 * MIB)

    assert region.allocated_bytes.value == 8 * MIB
    assert region.process_bytes.reason == "NVML: Insufficient Permissions"
    assert region.context_bytes.reason == "NVML: Insufficient Permissions"


def test_until_the_region_ends_its_figures_are_none() -> None:
    driver = FakeDriver(integrated=False, process=1)

    with measure_device(driver=driver) as region:
        assert region.allocated_bytes.reason == "the region has not ended"


def test_an_exception_leaves_the_figures() -> None:
    driver = FakeDriver(integrated=False, process=1)
    regions = []

    def fail() -> None:
        with measure_device(driver=driver) as region:
            regions.append(region)
            driver.allocate(8 * MIB)
            raise KeyError("from the region")

    with pytest.raises(KeyError):
        fail()

    assert regions[0].allocated_bytes.value == 8 * MIB


def test_the_own_process_is_picked_from_nvmls_list() -> None:
    assert own_process_bytes({1: 5 * MIB, os.getpid(): 7 * MIB}) == 7 * MIB


def test_a_container_where_nvml_tells_other_process_numbers_is_recognised() -> None:
    with pytest.raises(NotReportedError, match="lists 1 processes and not this one: in a cont"):
        own_process_bytes({os.getpid() + 1: 7 * MIB})


def test_a_process_that_nvml_lists_without_a_figure_has_none() -> None:
    with pytest.raises(NotReportedError, match="without a figure"):
        own_process_bytes({os.getpid(): None})


def test_the_driver_version_is_read_from_proc(tmp_path: Path) -> None:
    file = tmp_path / "proc/driver/nvidia/version"
    file.parent.mkdir(parents=True)
    file.write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
        "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
    )

    assert driver_version(tmp_path) == "550.54.15"
    assert driver_version(tmp_path / "elsewhere") is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_without_a_device_the_error_says_what_to_do() -> None:
    with (
        pytest.raises(RuntimeError, match="CUDA devices, 0, got 0; measure on the CPU"),
        measure_device(),
    ):
        pass


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_real_device_tells_a_known_allocation() -> None:
    with measure_device() as region:
        block = torch.ones(100 * MIB, dtype=torch.uint8, device="cuda")
        del block

    assert region.allocated_above_baseline_bytes.value == 100 * MIB
    assert region.reserved_bytes.value is not None
    assert region.reserved_bytes.value >= 100 * MIB
