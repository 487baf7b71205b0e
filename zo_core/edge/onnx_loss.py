"""The loss of an exported graph by ONNX Runtime, at weights that stay in their owner's memory.

The graph takes every tensor of the model as an input, bound once to the memory of the array that
holds it: nothing is copied, and what is written to an array in place is what the next forward sees.
Imports onnxruntime when a session is made.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from zo_core.edge.manifest import (
    CORRECT,
    GRAPH_FILE,
    INPUT,
    LABELS,
    LOSS,
    ExportedModelError,
    Manifest,
)
from zo_core.edge.release import release_loaded
from zo_core.edge.session_arithmetic import BFLOAT16_OPTION, SessionArithmetic, read_session
from zo_core.loss.byte_items import ByteItems, Items
from zo_core.loss.items import DataError, require_items
from zo_core.parameters import as_numpy_if_possible

_M_MMAP_THRESHOLD, _BLOCK_BYTES = -3, 16 * mmap.PAGESIZE  # of mallopt; rounding costs 1/16
_ONLY_ERRORS = 3  # onnxruntime's severity: warnings about shapes say nothing to a user


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """How a session runs; docs/edge.md reports what each setting gave."""

    threads: int | None  # within an operator; None for one a core
    arena: bool  # keep freed blocks for the next operator
    spinning: bool  # idle threads wait in a loop


MODES: Final[dict[str, SessionSettings]] = {
    "memory": SessionSettings(threads=None, arena=False, spinning=False),
    "speed": SessionSettings(threads=None, arena=True, spinning=True),
}


def session_settings(mode: str | SessionSettings) -> SessionSettings:
    """Return the settings of a mode; settings pass through.

    Raises:
        ValueError: the mode is unknown.
    """
    if isinstance(mode, SessionSettings):
        return mode
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    return MODES[mode]


class OnnxForward:
    """Losses of an exported model at the weights that its tensors hold.

    Args:
        folder: of an exported model.
        manifest: the folder's.
        tensors: C-contiguous arrays by name, each kept and read at every forward.
        settings: of the session.

    Raises:
        ExportedModelError: the graph's inputs or outputs are not what the manifest says.
        ImportError: onnxruntime is not installed; the message names the extra.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        tensors: Mapping[str, npt.NDArray[Any]],
        settings: SessionSettings,
    ) -> None:
        self._manifest = manifest
        self._tensors = dict(tensors)  # the session holds addresses alone
        self._session = _session(folder / GRAPH_FILE, settings)
        _require_signature(self._session, manifest, folder / GRAPH_FILE)
        self._binding = self._session.io_binding()
        for spec in manifest.tensors:
            self._bind(spec.input_name, self._tensors[spec.name])
        self._loss = np.zeros((), np.float64)
        self._correct = np.zeros((), np.int64)
        for name, array in ((LOSS, self._loss), (CORRECT, self._correct)):
            address = array.ctypes.data
            self._binding.bind_output(name, "cpu", 0, array.dtype, array.shape, address)

    def mean_loss(self, x: Any, y: Any, *, micro_batch: int | None = None) -> float:
        """Compute the mean loss over all items, summed in float64.

        Args:
            x: inputs, (items, ...) of the manifest's shape; ByteItems are scaled by micro-batch.
            y: labels, int64, (items,).
            micro_batch: items a forward; None for all at once.

        Raises:
            ValueError: no items, a wrong shape, dtype or label, or micro_batch < 1.
        """
        return self.evaluate(x, y, micro_batch=micro_batch)[0]

    def evaluate(self, x: Any, y: Any, *, micro_batch: int | None = None) -> tuple[float, int]:
        """Compute the mean loss and count the items whose largest output is at their label.

        Arguments and errors as :meth:`mean_loss`.
        """
        x, y = self._checked(_host_items(x), as_numpy_if_possible(y))
        total, correct = 0.0, 0
        for part in _slices(len(x), micro_batch):
            items = np.ascontiguousarray(x[part])  # lives until the forward has read it
            self._bind(INPUT, items)
            self._bind(LABELS, y[part])
            self._session.run_with_iobinding(self._binding)
            total += float(self._loss)
            correct += int(self._correct)
        return total / len(x), correct

    def session_arithmetic(self) -> SessionArithmetic:
        """Return what the session says about its arithmetic."""
        return read_session(self._session)

    def _bind(self, name: str, array: npt.NDArray[Any]) -> None:
        address = array.ctypes.data
        self._binding.bind_input(name, "cpu", 0, array.dtype, array.shape, address)

    def _checked(self, x: Items, y: npt.NDArray[Any]) -> tuple[Items, npt.NDArray[Any]]:
        """Refuse what the graph would misread: it is given bare addresses."""
        wanted = self._manifest
        require_items(
            x, y, num_classes=wanted.num_classes, shape=wanted.input_shape, where="a batch"
        )
        if x.dtype != wanted.input_dtype:
            raise DataError(
                f"a batch must be {wanted.input_dtype}, got {x.dtype}; export the model for such "
                "inputs, or convert them"
            )
        return x, np.ascontiguousarray(y)


def _host_items(x: Any) -> Items:
    return x if isinstance(x, ByteItems) else as_numpy_if_possible(x)


def _return_blocks() -> None:
    """Keep glibc from holding freed blocks for later: by default up to 32 MiB each; else no-op."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _BLOCK_BYTES)


def _session(path: Path, settings: SessionSettings) -> Any:
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise ImportError('onnxruntime is not installed: pip install "zobench[edge]"') from error
    _return_blocks()
    release_loaded()  # of the import, before the session needs memory
    options = ort.SessionOptions()
    options.log_severity_level = _ONLY_ERRORS
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.enable_cpu_mem_arena = settings.arena
    # A pattern is one block for all of a forward, taken next to those of the first: ResNet18 at
    # batch 64 went from 202 to 286 MiB with its second forward, and gained no time.
    options.enable_mem_pattern = False
    options.intra_op_num_threads = settings.threads or 0
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(settings.spinning)))
    options.add_session_config_entry(BFLOAT16_OPTION, "0")  # products in bfloat16 lose the scalars
    try:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes have no common base but this one
        raise ExportedModelError(f"{path} is not a graph for onnxruntime: {error}") from error
    release_loaded()  # of the session's making
    return session


def _require_signature(session: Any, manifest: Manifest, path: Path) -> None:
    """Check names, dtypes and shapes of all inputs, and the outputs' names."""
    wanted = {
        INPUT: (_type(manifest.input_dtype), manifest.input_shape),
        LABELS: ("tensor(int64)", ()),
    } | {spec.input_name: (_type(spec.dtype), spec.shape) for spec in manifest.tensors}
    found = {
        given.name: (given.type, tuple(given.shape[given.name in (INPUT, LABELS) :]))
        for given in session.get_inputs()
    }
    for name in (*wanted, *found):
        if wanted.get(name) != found.get(name):
            raise ExportedModelError(
                f"{path}: input {name!r} must be {_words(wanted.get(name))} by the manifest, got "
                f"{_words(found.get(name))}; export the model again"
            )
    outputs = [(given.name, given.type) for given in session.get_outputs()]
    if outputs != [(LOSS, "tensor(double)"), (CORRECT, "tensor(int64)")]:
        raise ExportedModelError(
            f"{path} must give {LOSS} (double) and {CORRECT} (int64), got {outputs}; "
            "export the model again"
        )


def _type(dtype: str) -> str:
    return f"tensor({ {'float32': 'float', 'float64': 'double'}.get(dtype, dtype) })"


def _words(signature: tuple[str, tuple[int, ...]] | None) -> str:
    return "absent" if signature is None else f"{signature[0]} of shape {signature[1]}"


def _slices(items: int, size: int | None) -> Iterator[slice]:
    if size is not None and size < 1:
        raise ValueError(f"micro_batch must be >= 1 or None, got {size}")
    step = size or items
    return (slice(start, start + step) for start in range(0, items, step))
