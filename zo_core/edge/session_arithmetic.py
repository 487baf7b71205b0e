"""What an ONNX Runtime session says about its own arithmetic."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

BFLOAT16_OPTION: Final = "mlas.enable_gemm_fastmath_arm64_bfloat16"
_NO_KLEIDIAI_OPTION = "mlas.disable_kleidiai"
_KLEIDIAI_NAME = b"ArmKleidiAI"  # of its functions, in the libraries that have them
_BLOCK_BYTES = 1 << 20
_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionArithmetic:
    """Library, execution providers and the switches that change products."""

    library: str  # with its version
    providers: tuple[str, ...]  # execution providers, in the order in which they are asked
    bfloat16_products: bool  # 64-bit ARM may multiply float32 matrices in bfloat16
    kleidiai: bool  # Arm's KleidiAI kernels take part


def read_session(session: Any) -> SessionArithmetic:
    """Ask a session for its providers and options; what was set is not assumed.

    KleidiAI's kernels take part where the library has them, the core has SME, and the session does
    not switch them off (onnxruntime's core/mlas/lib/platform.cpp).
    """
    import onnxruntime

    options = session.get_session_options()
    switched_off = _option(options, _NO_KLEIDIAI_OPTION) == "1"
    return SessionArithmetic(
        library=f"onnxruntime {onnxruntime.__version__}",
        providers=tuple(session.get_providers()),
        bfloat16_products=_option(options, BFLOAT16_OPTION) == "1",
        kleidiai=not switched_off and has_sme() and _has_kleidiai(_library_file(onnxruntime)),
    )


def has_sme(cpuinfo: Path = _CPUINFO) -> bool:
    """Return whether Linux lists ARM's Scalable Matrix Extension for this processor."""
    with suppress(OSError):
        rows = (row.partition(":") for row in cpuinfo.read_text().splitlines())
        return any(key.strip() == "Features" and "sme" in value.split() for key, _, value in rows)
    return False


def _option(options: Any, name: str) -> str:
    """Return a session option's value, "0" where it was never set: the default of both."""
    try:
        return str(options.get_session_config_entry(name))
    except RuntimeError:  # there is no question "is it set?"
        return "0"


def _library_file(onnxruntime: Any) -> Path:
    return Path(onnxruntime.capi.onnxruntime_pybind11_state.__file__)


@cache
def _has_kleidiai(library: Path) -> bool:
    """Look for the name in blocks, so that the library is not in memory a second time."""
    tail = b""
    with library.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            if _KLEIDIAI_NAME in tail + block:
                return True
            tail = block[-len(_KLEIDIAI_NAME) :]
    return False
