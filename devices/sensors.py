"""Find the power sensors and energy counters that Linux shows as files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

# One rail that feeds the whole module, by board generation.
_TOTAL_RAILS = ("VDD_IN", "POM_5V_IN", "VIN")
# AGX Orin has none: these three are added. VDDQ_VDD2_1V8AO is taken to hang on the last.
_SUMMED_RAILS = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")


def find_rails(root: Path = Path("/")) -> dict[str, Callable[[], float]]:
    """Return functions that read a Jetson's input power in watts, by rail, {} where there is none.

    Args:
        root: The folder that stands for the root of the file system.
    """
    rails = _hwmon_rails(root) | _iio_rails(root)
    for name in _TOTAL_RAILS:
        if name in rails:
            return {name: rails[name]}
    if all(name in rails for name in _SUMMED_RAILS):
        return {name: rails[name] for name in _SUMMED_RAILS}
    return {}


def find_rapl_zones(root: Path = Path("/")) -> dict[str, Path]:
    """Return the readable RAPL packages and DRAM zones by name, {} where there is none.

    Args:
        root: The folder that stands for the root of the file system.
    """
    zones = {}
    for zone in sorted((root / "sys/class/powercap").glob("intel-rapl:*")):
        name = (zone / "name").read_text().strip()
        # Core and uncore are parts of their package.
        if name.startswith("package") or name == "dram":
            zones[f"{name} {zone.name}"] = zone
    return zones if all(_readable(zone / "energy_uj") for zone in zones.values()) else {}


def _hwmon_rails(root: Path) -> dict[str, Callable[[], float]]:
    """Find the rails of the kernel's ina3221 and ina238 drivers (mV and mA, or uW)."""
    rails: dict[str, Callable[[], float]] = {}
    for folder in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        chip = (folder / "name").read_text().strip()
        if chip == "ina238":
            rails["VIN"] = _scaled((folder / "power1_input",), 1e-6)
        if chip == "ina3221":
            for label in sorted(folder.glob("in[123]_label")):
                number = label.name[2]
                files = (folder / f"in{number}_input", folder / f"curr{number}_input")
                rails[label.read_text().strip()] = _scaled(files, 1e-6)
    return rails


def _iio_rails(root: Path) -> dict[str, Callable[[], float]]:
    """Find the rails of NVIDIA's older ina3221x driver (Jetson Nano, kernel 4.9; mW)."""
    rails: dict[str, Callable[[], float]] = {}
    for label in sorted((root / "sys/bus/i2c/drivers/ina3221x").glob("*/iio:device*/rail_name_*")):
        number = label.name.removeprefix("rail_name_")
        file = label.parent / f"in_power{number}_input"
        rails[label.read_text().strip()] = _scaled((file,), 1e-3)
    return rails


def _scaled(files: Sequence[Path], factor: float) -> Callable[[], float]:
    def watts() -> float:
        product = factor
        for file in files:
            product *= read_number(file)
        return product

    return watts


def read_number(file: Path) -> int:
    """Return the whole number that a sysfs file holds."""
    return int(file.read_text())


def _readable(file: Path) -> bool:
    try:
        read_number(file)
    except OSError:
        return False
    return True
