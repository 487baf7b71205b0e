"""What the user chose on the command line, tried before anything is measured."""

from __future__ import annotations

import devices
from bench.models.names import parse_model
from bench.workloads.limits import TRIAL_TIMEOUT_S

DEVICE_TYPES = ("auto", "cpu", "cuda")


def check_model(model: str) -> str:
    """Build a model once, in a process of its own, so that a mistake shows before the first case.

    Args:
        model: as :func:`bench.models.names.parse_model` takes it.

    Returns:
        The name as given.

    Raises:
        ValueError: it cannot be built, or takes no step; the message says why.
    """
    if parse_model(model).kind == "suite":
        return model
    run = devices.run_isolated("bench.suite.preflight:problem_of", model, timeout_s=TRIAL_TIMEOUT_S)
    problem = run.value if run.status == "ok" else f"{model} cannot be tried: {run.error}"
    if problem is not None:
        raise ValueError(problem)
    return model


def problem_of(model: str) -> str | None:
    """Build a model; say what is wrong with it, None if nothing is."""
    from bench.models.load import load_model
    from zo_core import parameters

    try:
        parameters(load_model(model).module)
    except ValueError as error:
        return str(error)
    return None


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
