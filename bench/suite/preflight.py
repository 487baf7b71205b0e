"""What the user chose on the command line, tried before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence

import devices
from bench.workloads.steps import STEP_METHODS, bind_step
from zo_core.model_names import parse_model

DEVICE_TYPES = ("auto", "cpu", "cuda")
_NOISE_ITEMS = 2  # where the model brings no example: the fewest that batch norm trains on


def check_model(model: str, methods: Sequence[str] = STEP_METHODS) -> str:
    """Try a user's model in a process of its own, so that a mistake shows before the first case.

    Args:
        model: as :func:`zo_core.model_names.parse_model` takes it.
        methods: whose steps will be measured.

    Returns:
        The name as given.

    Raises:
        ValueError: it cannot be built, or takes no step of a method; the message says why.
    """
    name = parse_model(model)
    if name.kind == "suite" and name.is_default_shape:
        return model
    from bench.workloads.child import TRIAL_TIMEOUT_S

    run = devices.run_isolated(
        "bench.suite.preflight:problem_of", model, list(methods), timeout_s=TRIAL_TIMEOUT_S
    )
    problem = run.value if run.status == "ok" else f"{model} cannot be tried: {run.error}"
    if problem is not None:
        raise ValueError(problem)
    return model


def problem_of(model: str, methods: Sequence[str]) -> str | None:
    """Take one step of each method over the whole example batch, each on a model built afresh.

    Returns:
        What is wrong with the model, None if nothing is.  A memory-efficient variant that does not
        admit the model's layers is no problem: its record says so.
    """
    from bench.models.load import load_model
    from zo_core import parameters

    try:
        parameters(load_model(model).module)
    except ValueError as error:
        return str(error)
    for method in methods:
        loaded = load_model(model)
        items = _NOISE_ITEMS if loaded.example is None else len(loaded.example[0])
        x, y = loaded.batch(items)
        try:
            bind_step(loaded.module, x, y, method, micro_batch=items)()
        except Exception as error:
            if isinstance(error, ValueError) and method not in STEP_METHODS:
                continue
            problem = f"{type(error).__name__}: {error}"
            return f"{model}: a step of {method} over {items} items fails: {problem}"
    return None


def missing_kernels(device_type: str) -> str | None:
    """Say why ZO runs on slower kernels than those for its device; None if it does not."""
    from zo_core.kernels.selection import unavailable_reason

    on_cpu = device_type == "cpu"
    reason = unavailable_reason("c" if on_cpu else "triton")
    if not reason:
        return None
    missing = (
        "the C kernels are missing, so ZO steps on the CPU run on NumPy's, several times slower"
        if on_cpu
        else "the Triton kernels are missing, so ZO steps on the GPU use torch's slower operations"
    )
    return f"warning: {missing}: {reason}"


def choose_device(wanted: str) -> str:
    """Turn --device into "cpu" or "cuda".

    Raises:
        ValueError: the word is unknown, or there is no CUDA device.
    """
    if wanted not in DEVICE_TYPES:
        raise ValueError(f"device must be one of {', '.join(DEVICE_TYPES)}, got {wanted!r}")
    if wanted == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise ValueError("device cuda is not available here; use --device cpu or auto")
    return "cpu"
