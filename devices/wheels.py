"""Which torch wheel has CUDA kernels for a Jetson, by its L4T release and the Python version.

zobench needs Python 3.10, so a wheel for an older Python does not help. None was tried by us.
"""

from __future__ import annotations

from dataclasses import dataclass

MIN_PYTHON = (3, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class JetsonWheel:
    """Describe what an L4T release offers.

    Args:
        l4t: The first number, or the first two, of the release.
        python: The Python that the wheels are for.
        index: Where pip finds them.
        source: Where that is said.
        also: Further packages that the wheel needs and does not declare.
    """

    l4t: str
    python: tuple[int, int]
    index: str
    source: str
    also: tuple[str, ...] = ()


JETSON_WHEELS = (
    JetsonWheel(
        l4t="39",
        python=(3, 12),
        index="https://github.com/Shattered217/Jetson-Orin-Wheels (Orin), or on Thor, as with"
        " JetPack 7.0, torch nvpl-blas nvpl-lapack nvidia-cudss-cu13 from"
        " https://pypi.jetson-ai-lab.io/sbsa/cu130",
        source="https://github.com/Shattered217/Jetson-Orin-Wheels",
    ),
    JetsonWheel(
        l4t="38",
        python=(3, 12),
        index="https://pypi.jetson-ai-lab.io/sbsa/cu130",
        source="https://github.com/pollen-robotics/microduck_rl/issues/38",
        also=("nvpl-blas", "nvpl-lapack", "nvidia-cudss-cu13"),
    ),
    JetsonWheel(
        l4t="36",
        python=(3, 10),
        index="https://pypi.jetson-ai-lab.io/jp6/cu126",
        source="https://forums.developer.nvidia.com/t/jetpack-6-1-install-pytorch-2-5-1/318629",
    ),
    JetsonWheel(
        l4t="35",
        python=(3, 8),
        index="NVIDIA's list",
        source="https://forums.developer.nvidia.com/t/pytorch-for-jetson/72048",
    ),
    JetsonWheel(
        l4t="32",
        python=(3, 6),
        index="NVIDIA's list",
        source="https://forums.developer.nvidia.com/t/pytorch-for-jetson/72048",
    ),
)


def wheel_for(l4t: str) -> JetsonWheel | None:
    """Return the row of a release, None where the table has none.

    >>> wheel_for("36.4.3").python, wheel_for("99.0")
    ((3, 10), None)
    """
    return next((row for row in JETSON_WHEELS if l4t.split(".", maxsplit=1)[0] == row.l4t), None)


def wheel_advice(l4t: str, python: tuple[int, int]) -> str:
    """Say how to get a torch with CUDA kernels on a Jetson, or that there is none.

    Args:
        l4t: E.g. "36.4.3".
        python: Major and minor version of the Python in use.
    """
    row = wheel_for(l4t)
    if row is None:
        return f"no wheel is known for L4T {l4t}: use the CPU (--device cpu)"
    version = ".".join(map(str, row.python))
    if row.python < MIN_PYTHON:
        return (
            f"L4T {l4t} has CUDA wheels for Python {version} only, and zobench needs 3.10: use the"
            " CPU (--device cpu) with PyPI's torch, or move an Orin to JetPack 6 or 7.2"
        )
    packages = " ".join(("torch", *row.also))
    where = f"pip install {packages} from {row.index}, in Python {version} (see {row.source})"
    return where if python == row.python else f"use Python {version}, then {where}"
