"""Extra memory of the passes: at most 1 MiB, whatever the model's size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

# The high-water mark is reset just before the passes, in a process of its own.
CHILD = """
import sys
from pathlib import Path
import numpy as np
from zo_core import kernels
from zo_core.fixed_point import FixedPointUpdate
from zo_core.weight_grid import snap_
from zo_core.parameters import parameters

def peak_kib(field):
    status = Path("/proc/self/status").read_text()
    return int(status.split(field + ":")[1].split()[0])

def passes(weights):
    params = parameters(weights)
    grid = snap_(params)
    for distribution in ("rademacher", "gaussian"):
        kernels.perturb(params, [(1, 0.5), (2, -0.5)], distribution, threads=threads)
    update = FixedPointUpdate(np.arange(9, dtype=np.uint64), np.full(9, 2**20, np.int32), -44)
    kernels.replay(params, update, grid.exponents, threads=threads)
    kernels.replay(params, update, None, write=False, threads=threads)

name, n, threads = sys.argv[1], int(sys.argv[2]), 2
with kernels.force_kernel(name):
    passes([np.ones(40_000, np.float32), np.ones((40, 50), np.float32).T])
    weights = [np.full(n, 0.25, np.float32), np.full((300, n // 900), 0.5, np.float32).T]
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_kib("VmRSS")
    passes(weights)
    print(peak_kib("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(("name", "n"), [("c", 4_000_000), ("numpy", 1_500_000)])
def test_passes_need_at_most_a_mebibyte(name, n):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, name, str(n)], capture_output=True, text=True, check=False
    )
    if "is not available" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= 1024
