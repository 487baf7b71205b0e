"""The Triton kernels compile for NVIDIA GPUs on a machine without one, and spill no register."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from optional import needs

pytestmark = [needs("triton"), pytest.mark.slow, pytest.mark.process]

H100, ORIN = 90, 87  # compute capabilities
MOST_REGISTERS = {"perturb": 64, "replay": 255}  # of a thread: 8 and 2 programs per multiprocessor
PLACE = {"row_of": "*i32", "rows": "*i64", "finished": "*i64", "number": "i32", "tiles": "i32"}
SEEDS = {"k0": "i32", "k1": "i32", "m0": "i32", "m1": "i32", "scale": "fp32", "second": "fp32"}
UPDATES = {"keys": "*i32", "a": "*i32", "n": "i32", "scales": "*fp64", "stats": "*i64"}
VARIANTS = [
    ("perturb", PLACE | SEEDS, {"TERMS": terms, "BLOCKS": 8, "SPAN": 32, "ALIGNED": aligned})
    for terms in (1, 2)
    for aligned in (True, False)
] + [
    ("replay", PLACE | UPDATES, {"GRID": grid, "WRITE": True, "SPAN": 32, "ALIGNED": True})
    for grid in (True, False)
]


@pytest.mark.parametrize("capability", [H100, ORIN])
@pytest.mark.parametrize(("name", "types", "constants"), VARIANTS)
def test_a_kernel_keeps_its_numbers_in_registers(
    name: str, types: dict[str, str], constants: dict[str, Any], capability: int, tmp_path: Path
) -> None:
    cubin = tmp_path / "kernel.cubin"
    cubin.write_bytes(compiled(name, types, constants, capability))
    used = resources(cubin)
    assert used["STACK"] + used["LOCAL"] <= 8  # bytes; spilled registers would be there
    assert 0 < used["REG"] <= MOST_REGISTERS[name]


def compiled(name: str, types: dict[str, str], constants: dict[str, Any], capability: int) -> bytes:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from zo_core.kernels import triton_kernels

    function = getattr(triton_kernels, name)
    if not hasattr(function, "arg_names"):
        pytest.skip("TRITON_INTERPRET=1 was set before the kernels were imported")
    names = function.arg_names
    source = ASTSource(
        fn=function,
        signature={n: types.get(n, "constexpr") for n in names},
        constexprs={(names.index(n),): value for n, value in constants.items()},
    )
    target = GPUTarget("cuda", capability, 32)
    options = {"num_warps": 4, "enable_fp_fusion": False}
    made = triton.compile(source, target=target, options=options)
    return bytes(made.asm["cubin"])


def resources(cubin: Path) -> Mapping[str, int]:
    """Read a kernel's registers, and bytes of stack and local memory, by Triton's cuobjdump."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    if not tool.exists():
        pytest.skip("this Triton brings no cuobjdump")
    text = subprocess.run(
        [tool, "--dump-resource-usage", cubin], capture_output=True, text=True, check=True
    ).stdout
    return {key: int(value) for key, value in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", text)}
