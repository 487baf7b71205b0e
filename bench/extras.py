"""Which extra installs an optional package, and the one line that says so."""

from __future__ import annotations

import importlib.util

EXTRAS = {  # import name -> extra of pyproject.toml
    **dict.fromkeys(
        ("torch", "torchvision", "torchinfo", "onnx", "onnxscript", "sklearn", "scipy"), "bench"
    ),
    **dict.fromkeys(("matplotlib", "jinja2", "jsonschema", "pytest", "pytest_benchmark"), "bench"),
    "onnxruntime": "edge",
    **dict.fromkeys(("transformers", "tokenizers", "peft", "rouge_score"), "llm"),
    **dict.fromkeys(("mezo", "eggroll", "torcheggroll"), "peers"),
    "timm": "timm",
    "flwr": "flower",
    "ray": "cluster",
    "shtab": "completion",
    "triton": "dev",
    "mkdocs": "docs",
}


def how_to_install(package: str) -> str:
    """Say that an optional package is not installed, and the command that installs it.

    Args:
        package: its import name, a key of EXTRAS.

    >>> how_to_install("tokenizers")
    'tokenizers is not installed: pip install "zobench[llm]"'
    """
    return f'{package} is not installed: pip install "zobench[{EXTRAS[package]}]"'


def require(package: str) -> None:
    """Raise ModuleNotFoundError, naming the extra, where an optional package is not installed.

    Args:
        package: its import name, a key of EXTRAS.
    """
    if importlib.util.find_spec(package) is None:
        raise ModuleNotFoundError(how_to_install(package), name=package)


def missing_package(error: ModuleNotFoundError) -> str:
    """Return an error's message, with the command to run where Python names only the package.

    Args:
        error: raised by an import, or by a function that already names the extra.
    """
    package = (error.name or "").split(".")[0]
    is_bare = str(error).startswith("No module named")
    return how_to_install(package) if is_bare and package in EXTRAS else str(error)
