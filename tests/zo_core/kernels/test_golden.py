"""The golden vectors: no change of code may move a bit of the stream or of the arithmetic."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from optional import needs

from zo_core.directions import rademacher
from zo_core.kernels.resumable_pass import Journal
from zo_core.kernels.selection import unavailable_reason
from zo_core.parameters import Span

TESTS = Path(__file__).parents[2]
NEEDS_C = pytest.mark.skipif(
    bool(unavailable_reason("c")), reason=f"no C kernels: {unavailable_reason('c')}"
)
KERNELS = [pytest.param("cpu", marks=NEEDS_C), "torch_ops"]


@pytest.fixture(scope="module")
def golden() -> ModuleType:
    path = TESTS / "golden" / "write_kernels.py"
    spec = importlib.util.spec_from_file_location("write_kernels", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines(golden, kind):
    found = [line.split() for line in golden.GOLDEN.read_text().splitlines()]
    return [fields[1:] for fields in found if fields[0] == kind]


def test_the_reference_still_writes_the_file(golden):
    assert list(golden.cases()) == golden.GOLDEN.read_text().splitlines()


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_give_the_golden_perturbations(golden, name):
    kernel = importlib.import_module(f"zo_core.kernels.{name}")
    for tensor, start, count, n, expected in lines(golden, "perturb"):
        array = golden.weights_of(int(count), -26)
        table = kernel.prepare([Span(array, int(tensor), int(start))])
        kernel.perturb(table, golden.terms_of(int(n)), rademacher, 2, journal=Journal())
        assert golden.checksum(array) == int(expected, 16)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_give_the_golden_replays(golden, name):
    kernel = importlib.import_module(f"zo_core.kernels.{name}")
    for tensor, start, count, n, e, f, largest, zeros, expected in lines(golden, "replay"):
        plain = int(e) == golden.PLAIN
        array = golden.weights_of(int(count), -26 if plain else int(e))
        table = kernel.prepare([Span(array, int(tensor), int(start))])
        exponents = None if plain else [int(e)] * (int(tensor) + 1)
        update = golden.update_of(int(n), int(f))
        assert kernel.replay(table, update, exponents, True, 2, journal=Journal()) == [
            (int(largest), int(zeros))
        ]
        assert golden.checksum(array) == int(expected, 16)


@pytest.mark.process
@needs("aarch64-linux-gnu-gcc", "qemu-aarch64")
def test_the_c_kernels_give_them_on_64_bit_arm():
    done = subprocess.run(
        ["sh", TESTS / "aarch64" / "run.sh"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
