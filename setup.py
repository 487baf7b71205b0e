"""Build the C kernels, an optional part: without a compiler the package installs all the same."""

import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

# Bits must not depend on the compiler: no contraction into FMA.  The two -fno let rintf and its
# kin become instructions; no code here reads errno or floating-point traps.
FLAGS = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-pthread"]

# One binary for CPython 3.11 and later; 3.10's limited API has no buffers, and the free-threaded
# builds have no limited API.
LIMITED = sys.version_info >= (3, 11) and not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    ext_modules=[
        Extension(
            "zo_core.kernels._cpu",
            sources=["zo_core/kernels/_cpu.c"],
            depends=[str(header) for header in Path("zo_core/kernels").glob("_*.h")],
            extra_compile_args=[] if sys.platform == "win32" else FLAGS,
            extra_link_args=[] if sys.platform == "win32" else ["-pthread"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")] if LIMITED else [],
            py_limited_api=LIMITED,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED else {},
)
