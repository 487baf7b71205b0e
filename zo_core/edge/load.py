"""A federated client without torch: a folder that ``zobench export`` wrote, and onnxruntime.

:func:`load_replica` gives the replica that a zeroth-order method trains; the method's own code then
makes a client's update and applies a round's result, the same as with a torch module.  Needs NumPy
and onnxruntime alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt

from zo_core.edge.manifest import (
    GRAPH_FILE,
    WEIGHTS_FILE,
    ExportedModelError,
    Manifest,
    TensorSpec,
    file_digest,
    read_manifest,
)
from zo_core.edge.onnx_loss import OnnxForward, SessionSettings, session_settings
from zo_core.edge.weights_file import WeightsFileError, read_tensors
from zo_core.parameters import Parameters
from zo_core.replica import Replica
from zo_core.weight_grid import Grid


def load_replica(folder: Path, *, mode: str | SessionSettings = "memory") -> Replica:
    """Load an exported model as a replica that trains by forwards alone.

    The weights are held once: read to their place, perturbed there, and read from there by the
    session.

    Args:
        folder: manifest, graph and weights, written by :func:`zo_core.edge.export.export_model`.
        mode: "memory" for least memory, "speed" for most speed, or a session's settings.

    Returns:
        The replica, with the grid that the export says, at the state whose digest it says.

    Raises:
        ExportedModelError: manifest, weights and graph do not match, or are of another version.
        ValueError: the mode is unknown.
        ImportError: onnxruntime is not installed; the message names the extra.

    A round of client 3, whose shard is (x, y)::

        replica = load_replica(folder)
        update = method.client_update(replica, ClientData(slot=3, x=x, y=y), context)
        ...  # send update.encode(), receive the round's result
        method.apply_(replica, result, context)  # checks the digest that it ends at
    """
    settings = session_settings(mode)
    manifest = read_manifest(folder)
    graph = file_digest(folder / GRAPH_FILE) if (folder / GRAPH_FILE).exists() else "absent"
    if graph != manifest.graph_digest:
        raise _mismatch(folder / GRAPH_FILE, "digest", manifest.graph_digest, graph)
    tensors = _read_weights(folder / WEIGHTS_FILE, manifest)
    replica = Replica(
        Parameters(
            names=tuple(spec.name for spec in manifest.parameters),
            arrays=tuple(tensors[spec.name] for spec in manifest.parameters),
        ),
        frozen=[tensors[spec.name] for spec in manifest.frozen],
    )
    if manifest.exponents is not None:
        replica.grid = Grid(np.array(manifest.exponents, np.int32))
    with _taking_digest(replica):
        replica.forward = OnnxForward(folder, manifest, tensors, settings)
    if replica.digest().hex() != manifest.digest:
        found = replica.digest().hex()
        raise _mismatch(folder / WEIGHTS_FILE, "digest of the state", manifest.digest, found)
    return replica


@contextmanager
def _taking_digest(replica: Replica) -> Iterator[None]:
    """Take the replica's digest in a thread: BLAKE2b runs without the interpreter's lock."""
    thread = Thread(target=replica.digest)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _read_weights(path: Path, manifest: Manifest) -> Mapping[str, npt.NDArray[Any]]:
    """Read the tensors and check that they are the manifest's, by name, shape and dtype."""
    try:
        tensors = read_tensors(path)
    except (WeightsFileError, OSError) as error:
        raise ExportedModelError(str(error)) from error
    wanted = {spec.name: spec for spec in manifest.tensors}
    for name in (*wanted, *tensors):
        found = _spec_of(name, tensors)
        if wanted.get(name) != found:
            raise _mismatch(path, f"tensor {name!r}", wanted.get(name), found)
    if manifest.exponents is not None and len(manifest.exponents) != len(manifest.parameters):
        raise _mismatch(path, "exponents", len(manifest.parameters), len(manifest.exponents))
    return tensors


def _spec_of(name: str, tensors: Mapping[str, npt.NDArray[Any]]) -> TensorSpec | None:
    if name not in tensors:
        return None
    array = tensors[name]
    return TensorSpec(name=name, shape=array.shape, dtype=array.dtype.name)


def _mismatch(path: Path, what: str, wanted: object, found: object) -> ExportedModelError:
    return ExportedModelError(
        f"{path}: {what} must be {wanted} by the manifest, got {found}; export the model again, or "
        "copy the whole folder again"
    )
