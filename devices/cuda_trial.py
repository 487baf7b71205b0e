"""Try whether a CUDA kernel runs: `is_available` is true of wheels without kernels for the chip.

PyPI's wheels for ARM servers (SBSA) on an Orin with JetPack 6, and wheels for CUDA 12.8 on Thor,
find the device and fail at the first operation.
"""

from __future__ import annotations

from devices.isolate import run_isolated

_TIMEOUT_S = 120.0


def why_no_cuda() -> str | None:
    """Run one operation on the GPU in a fresh process; return what went wrong, None if nothing."""
    result = run_isolated("devices.cuda_trial:try_kernel", timeout_s=_TIMEOUT_S)
    if result.status != "ok":
        return f"the trial ended with {result.status}: {result.error}"
    return None if result.value is None else str(result.value)


def try_kernel() -> str | None:
    """Add one to a zero on the GPU; imports torch."""
    try:
        import torch
    except ImportError as error:
        return f"torch cannot be imported: {error}"
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is a build without CUDA"
    try:
        value = float((torch.zeros(1, device="cuda") + 1).item())
    except (RuntimeError, AssertionError) as error:
        return f"torch {torch.__version__}, built for {torch.cuda.get_arch_list()}: {error}"
    return None if value == 1.0 else f"0 + 1 gave {value}"
