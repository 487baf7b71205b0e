"""Find the power sensors and energy counters that Linux shows as files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from devices.files import find, read_number, read_text

Watts = Callable[[], float | None]  # None where the sensor does not answer

# One rail that feeds all others, by board generation; never added to them. VIN, Thor's board input
# (INA238), comes first: jetson_stats, pull 900, prefers it to the module's rails.
_TOTAL_RAILS = ("VIN", "VDD_IN", "POM_5V_IN")
# AGX Orin has none: these three are added. VDDQ_VDD2_1V8AO is taken to hang on the last.
_SUMMED_RAILS = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")


def find_rails(root: Path = Path("/")) -> dict[str, Watts]:
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
    folder = root / "sys/class/powercap"
    nested = find(folder, "intel-rapl/intel-rapl:*") + find(folder, "intel-rapl/*/intel-rapl:*")
    for zone in find(folder, "intel-rapl:*") or nested:
        name = read_text(zone / "name") or ""
        # Core and uncore are parts of their package.
        if name.startswith("package") or name == "dram":
            zones[f"{name} {zone.name}"] = zone
    counters = [read_number(zone / "energy_uj") for zone in zones.values()]
    return zones if None not in counters else {}


def _hwmon_rails(root: Path) -> dict[str, Watts]:
    """Find the rails of the kernel's ina3221 and ina238 drivers (mV and mA, or uW)."""
    rails: dict[str, Watts] = {}
    for folder in find(root / "sys/class/hwmon", "hwmon*"):
        chip = read_text(folder / "name")
        if chip == "ina238" and _is_tegra(root):
            rails["VIN"] = _scaled((folder / "power1_input",), 1e-6)
        if chip == "ina3221":
            for label in find(folder, "in[123]_label"):
                number = label.name[2]
                files = (folder / f"in{number}_input", folder / f"curr{number}_input")
                rails[read_text(label) or label.name] = _scaled(files, 1e-6)
    return rails


def _is_tegra(root: Path) -> bool:
    # The chip is on other boards as well, where it may measure any rail.
    return "nvidia,tegra" in (read_text(root / "proc/device-tree/compatible") or "")


def _iio_rails(root: Path) -> dict[str, Watts]:
    """Find the rails of NVIDIA's older ina3221x driver (Jetson Nano, kernel 4.9; mW)."""
    rails: dict[str, Watts] = {}
    for label in find(root / "sys/bus/i2c/drivers/ina3221x", "*/iio:device*/rail_name_*"):
        number = label.name.removeprefix("rail_name_")
        file = label.parent / f"in_power{number}_input"
        rails[read_text(label) or label.name] = _scaled((file,), 1e-3)
    return rails


def _scaled(files: Sequence[Path], factor: float) -> Watts:
    def watts() -> float | None:
        product = factor
        for file in files:
            number = read_number(file)
            if number is None:
                return None
            product *= number
        return product if product >= 0 else None

    return watts
