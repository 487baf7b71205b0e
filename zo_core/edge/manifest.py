"""What an exported model consists of: ``manifest.json`` beside the graph and the weights.

The folder holds ``model.onnx``, (x, y, tensors) -> (summed loss, correct items), with every tensor
of the model an input; ``weights.safetensors``, those tensors; and the manifest, which says in which
order the stream numbers them and vouches for both files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zo_core.blake import blake2b
from zo_core.directions import STREAM_VERSION
from zo_core.edge.reference import Reference
from zo_core.weight_grid import GRID_VERSION

FORMAT = "zo-export/1"
GRAPH_FILE = "model.onnx"
WEIGHTS_FILE = "weights.safetensors"
MANIFEST_FILE = "manifest.json"
INPUT, LABELS = "x", "y"  # the graph's first two inputs
LOSS, CORRECT = "loss", "correct"  # its outputs
_TENSOR_PREFIX = "weights."  # of the other inputs, so that no tensor's name can be the graph's own


class ExportedModelError(ValueError):
    """A folder whose manifest, weights and graph are not of one model, or not of this version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One tensor of the model."""

    name: str  # as in the module
    shape: tuple[int, ...]
    dtype: str  # NumPy's name, e.g. "float32"

    @property
    def input_name(self) -> str:
        """The graph's input that takes it."""
        return _TENSOR_PREFIX + self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An exported model, described."""

    model: str  # what was exported; for people
    input_shape: tuple[int, ...]  # of one item
    input_dtype: str
    num_classes: int
    parameters: tuple[TensorSpec, ...]  # trainable, in stream order
    frozen: tuple[TensorSpec, ...]  # frozen parameters, then buffers, in model order
    exponents: tuple[int, ...] | None  # of the grid; None for weights that were not snapped
    digest: str  # hex, of the exact state: zo-grid/1, rule 12
    graph_digest: str  # hex, BLAKE2b-256 of the graph's file
    reference: Reference | None = None  # scalars of a float64 forward; None in older exports
    stream: str = STREAM_VERSION
    grid: str = GRID_VERSION
    format: str = FORMAT

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """All tensors, in the order of the graph's inputs."""
        return (*self.parameters, *self.frozen)

    def write(self, folder: Path) -> None:
        """Write the manifest to an exported model's folder."""
        (folder / MANIFEST_FILE).write_text(json.dumps(asdict(self), indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Read an exported model's manifest.

    Raises:
        ExportedModelError: it is absent, malformed, or of another format, stream or grid.
    """
    path = folder / MANIFEST_FILE
    try:
        data = json.loads(path.read_text())
        _require_versions(path, data)
        return _manifest(data)
    except FileNotFoundError as error:
        raise ExportedModelError(f"{folder} contains no {MANIFEST_FILE}: zobench export") from error
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ExportedModelError(f"{path} is not a manifest of an export: {error!r}") from error


def file_digest(path: Path) -> str:
    """Hash a file with BLAKE2b-256, as hex."""
    return blake2b(path.read_bytes(), digest_size=32).hexdigest()


def _require_versions(path: Path, data: Mapping[str, Any]) -> None:
    for name, ours in (("format", FORMAT), ("stream", STREAM_VERSION), ("grid", GRID_VERSION)):
        if data[name] != ours:
            raise ExportedModelError(
                f"{path}: {name} must be {ours}, got {data[name]!r}; export the model again with "
                "the version that the run uses"
            )


def _manifest(data: dict[str, Any]) -> Manifest:
    exponents = data["exponents"]
    return Manifest(
        **data
        | {
            "input_shape": tuple(data["input_shape"]),
            "parameters": tuple(map(_spec, data["parameters"])),
            "frozen": tuple(map(_spec, data["frozen"])),
            "exponents": None if exponents is None else tuple(exponents),
            "reference": _reference(data.get("reference")),
        }
    )


def _spec(data: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(name=data["name"], shape=tuple(data["shape"]), dtype=data["dtype"])


def _reference(data: Mapping[str, Any] | None) -> Reference | None:
    if data is None:
        return None
    return Reference(**{**data, "differences": tuple(data["differences"])})
