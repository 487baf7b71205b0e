"""The steps of a run as a file: seeds, scalars and rates, from which weights can be rebuilt.

The file is in the safetensors format (https://github.com/huggingface/safetensors).  Its tensors,
for n steps of G groups with N directions in total:

| tensor | type | what |
|---|---|---|
| header | uint8 | JSON of :class:`LogHeader` and the digest of the weights after the last step |
| counts | uint32 (n,) | directions of each step |
| seeds | uint64 (N,) | of all directions, step after step |
| differences | float32 (N,) | dL of each direction |
| rates | float64 (n, G) | learning rate of each group in each step |
| checksum | uint8 (32,) | BLAKE2b-256 over the bytes of the others, in this order |
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError

from zo_core.blake import blake2b
from zo_core.digest import DIGEST_BYTES, digest
from zo_core.directions import STREAM_VERSION
from zo_core.parameters import Parameters
from zo_core.weight_grid import GRID_VERSION, Grid, snap_
from zo_core.whole_files import whole_file

FORMAT = "zo-log/1"
Updates = list[tuple[int, float]]  # (seed, dL) pairs

_TYPES: dict[str, np.dtype[Any]] = {
    "header": np.dtype("uint8"),
    "counts": np.dtype("uint32"),
    "seeds": np.dtype("uint64"),
    "differences": np.dtype("float32"),
    "rates": np.dtype("float64"),
}


class LogError(ValueError):
    """The log is damaged, has another version, or belongs to other weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHeader:
    """What a log's steps apply to, and how."""

    base_digest: str  # hex, of the weights before snap_
    snapped_digest: str  # hex, of weights and exponents after it
    epsilon: float
    tau: float
    names: tuple[str, ...]  # of the tensors, in stream order
    group_of: tuple[int, ...]  # the group of each tensor
    num_groups: int
    format: str = FORMAT
    stream: str = STREAM_VERSION
    grid: str = GRID_VERSION


@dataclass(frozen=True, slots=True)
class LoggedStep:
    """One step."""

    updates: Updates
    rates: tuple[float, ...]  # of each group


@dataclass(slots=True)
class UpdateLog:
    """The steps of a run on the grid, about 24 bytes each for one direction and one group."""

    header: LogHeader
    final_digest: str = ""  # hex, of weights and exponents after the last step
    _ends: array[int] = field(default_factory=lambda: array("Q", [0]))  # updates until each step
    _seeds: array[int] = field(default_factory=lambda: array("Q"))
    _differences: array[float] = field(default_factory=lambda: array("f"))
    _rates: array[float] = field(default_factory=lambda: array("d"))

    @property
    def num_steps(self) -> int:
        """Number of steps recorded."""
        return len(self._ends) - 1

    def write_step(self, index: int, updates: Updates, rates: Sequence[float]) -> None:
        """Write step number index after those before it; writing it again changes nothing."""
        start = self._ends[index]
        self._seeds[start:] = array("Q", [seed for seed, _ in updates])
        self._differences[start:] = array("f", [difference for _, difference in updates])
        self._rates[index * len(rates) :] = array("d", rates)
        self._ends[index + 1 :] = array("Q", [start + len(updates)])

    def steps(self) -> Iterator[LoggedStep]:
        """Yield the steps, first to last."""
        groups = self.header.num_groups
        for index, (start, end) in enumerate(pairwise(self._ends)):
            seeds, differences = self._seeds[start:end], self._differences[start:end]
            yield LoggedStep(
                list(zip(seeds, differences, strict=True)),
                tuple(self._rates[index * groups : (index + 1) * groups]),
            )

    def encode(self) -> bytes:
        """Return the bytes of the file."""
        from safetensors.numpy import save

        header = asdict(self.header) | {"final_digest": self.final_digest}
        found: tuple[npt.NDArray[Any], ...] = (
            np.frombuffer(json.dumps(header).encode(), np.uint8),
            np.diff(np.array(self._ends, np.uint64)),
            np.array(self._seeds, np.uint64),
            np.array(self._differences, np.float32),
            np.array(self._rates, np.float64).reshape(-1, self.header.num_groups),
        )
        tensors = {
            name: values.astype(kind)
            for (name, kind), values in zip(_TYPES.items(), found, strict=True)
        }
        return save(tensors | {"checksum": _checksum(tensors)})

    @classmethod
    def decode(cls, body: bytes) -> UpdateLog:
        """Read what :meth:`encode` wrote.

        Raises:
            LogError: the bytes are damaged, or have another version.
        """
        from safetensors.numpy import load

        try:
            return _decoded(load(body))
        except LogError:
            raise
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise LogError(f"the log is damaged ({error!r}); copy it again") from error

    def save(self, path: str | Path) -> None:
        """Write the log to a file, whole or not at all.

        Raises:
            OSError: it cannot be written; what was there is unchanged.
        """
        with whole_file(Path(path)) as part:
            part.write_bytes(self.encode())

    @classmethod
    def load(cls, path: str | Path) -> UpdateLog:
        """Read a log from a file.

        Raises:
            LogError: the file is damaged, or has another version.
            OSError: it cannot be read.
        """
        return cls.decode(Path(path).read_bytes())


def start_log(
    params: Parameters,
    *,
    epsilon: float,
    tau: float = 1.0,
    group_of: Sequence[int] | None = None,
    num_groups: int = 1,
) -> tuple[Grid, UpdateLog]:
    """Put fp32 weights on the grid in place, and start the log of a run on them.

    Args:
        params: the weights; their names are those by which the log will find them.
        epsilon: finite-difference step of the run.
        tau: scale of the directions.
        group_of: the group of each tensor; None for one group.
        num_groups: number of groups, those without a tensor included.

    Raises:
        ValueError: a dtype other than float32, or a name that two tensors have.
        GridError: a weight is not finite, or too large.
    """
    if len(set(params.names)) != len(params.names):
        twice = next(name for name in params.names if params.names.count(name) > 1)
        raise ValueError(f"two tensors have the name {twice!r}; pass model.named_parameters()")
    before = digest(params).hex()
    grid = snap_(params)
    header = LogHeader(
        base_digest=before,
        snapped_digest=digest(params, grid).hex(),
        epsilon=epsilon,
        tau=tau,
        names=params.names,
        group_of=tuple(group_of or [0] * len(params.names)),
        num_groups=num_groups,
    )
    return grid, UpdateLog(header)


def _checksum(tensors: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.uint8]:
    state = blake2b(digest_size=DIGEST_BYTES)
    for name, kind in _TYPES.items():
        state.update(np.ascontiguousarray(tensors[name], kind.newbyteorder("<")).tobytes())
    return np.frombuffer(state.digest(), np.uint8)


def _decoded(tensors: dict[str, npt.NDArray[Any]]) -> UpdateLog:
    """Check everything that a file could have wrong, the version first."""
    fields = json.loads(tensors["header"].tobytes())
    ours = {"format": FORMAT, "stream": STREAM_VERSION, "grid": GRID_VERSION}
    for name, version in ours.items():
        if fields[name] != version:
            raise LogError(
                f"the log's {name} must be {version!r}, got {fields[name]!r}; read it with the "
                "version of zobench that wrote it"
            )
    if {name: values.dtype for name, values in tensors.items()} != _TYPES | {
        "checksum": np.dtype("uint8")
    }:
        raise ValueError("it has other tensors than a log")
    if not np.array_equal(tensors["checksum"], _checksum(tensors)):
        raise ValueError("its checksum differs")
    if len({int(tensors["counts"].sum()), len(tensors["seeds"]), len(tensors["differences"])}) > 1:
        raise ValueError("its lists differ in length")
    final = str(fields.pop("final_digest"))
    fields |= {name: tuple(fields[name]) for name in ("names", "group_of")}
    ends = np.cumsum(tensors["counts"], dtype=np.uint64).tolist()
    return UpdateLog(
        LogHeader(**fields),
        final,
        array("Q", [0, *ends]),
        array("Q", tensors["seeds"].tolist()),
        array("f", tensors["differences"].tolist()),
        array("d", tensors["rates"].reshape(-1).tolist()),
    )
