"""One training run of a table: its config, its identity, and what came of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.records import typed_json
from bench.records.details.training import TrainingResult
from bench.records.store import StoreError, layout, replacing
from zo_core.algorithms import train_config
from zo_core.config import TrainConfig

CELLS = "cells"  # folder below a run's output folder
SCHEMA = "zobench-cell/2"
UNFINISHED = "unfinished"  # status and outcome of a run that was saved at the deadline
_FIRST_SCHEMA = "zobench-cell/1"  # curves by rows; chance_level was called guessing
_DEFAULT_ALGORITHM = "zowarmup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run to be made; tables that hold an equal cell share its run."""

    config: TrainConfig  # the seed is its run_seed

    @property
    def key(self) -> str:
        """First 16 hex digits of SHA-256 over the fields that differ from the defaults.

        So a config field that is added later, with a default that changes nothing, leaves earlier
        runs valid; a default that changes is caught by :meth:`CellStore.read`.
        """
        fields = self.config.to_json()
        defaults = train_config(self.config.algorithm).to_json()
        defaults["algorithm"] = _DEFAULT_ALGORITHM
        chosen = {name: value for name, value in fields.items() if value != defaults[name]}
        canonical = json.dumps(chosen, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellTraining(TrainingResult):
    """What a cell's training came to."""

    zero_share: float | None  # mean share of increments that rounded to zero
    handover_blake2b: str | None  # of the warm-up's model
    client_peak_bytes: Mapping[str, int | None] | None  # by group; None: it diverged
    parameters: int
    projected_s: float | None = None  # of all rounds, where some are left and both phases began
    rouge_by_task: Mapping[str, tuple[float, ...]] | None = None  # of a language model's answers


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """What came of a cell."""

    key: str
    config: Mapping[str, Any]  # all fields of the TrainConfig that ran
    status: str  # "ok" (a run that diverged too), UNFINISHED, or that of a devices.IsolatedResult
    error: str | None = None  # why status is not "ok"
    training: CellTraining | None = None
    seconds: float | None = None  # wall time of the process, or its share of it
    made_by: Mapping[str, Any]  # commit, dirty, created, host, device

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON data."""
        return {"schema": SCHEMA, **typed_json.to_json(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CellResult:
        """Rebuild a result.

        Raises:
            ValueError: the data is of another schema, or does not have its shape.
        """
        own = {name: value for name, value in data.items() if name != "schema"}
        if data.get("schema") == _FIRST_SCHEMA:
            own["training"] = _renamed(own["training"])
        elif data.get("schema") != SCHEMA:
            raise ValueError(f"schema must be {SCHEMA!r}, got {data.get('schema')!r}")
        return typed_json.from_json(cls, own)


def _renamed(training: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Give a training of the first schema the field names of this one."""
    if training is None:
        return None
    return {"chance_level" if n == "guessing" else n: part for n, part in training.items()}


@dataclass(frozen=True, slots=True)
class CellStore:
    """Results of cells on disk: one small JSON file each, written whole or not at all."""

    folder: Path

    @classmethod
    def below(cls, output: Path) -> CellStore:
        """Open the store of a run's output folder.

        Raises:
            StoreError: the folder cannot be made.
        """
        folder = output / CELLS
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"output folder {output} cannot be written ({error.strerror});"
                " choose another by --out"
            ) from error
        return cls(folder)

    def write(self, result: CellResult) -> None:
        """Put a result in place; an earlier one of the same cell is replaced."""
        with replacing(self.folder / f"{result.key}.json") as temporary:
            temporary.write_text(layout(result.to_json(), levels=1))

    def read(self, cell: Cell) -> CellResult | None:
        """Read a cell's result; None where there is none of this very config.

        Raises:
            StoreError: the file is no cell's result; the message names it.
        """
        path = self.folder / f"{cell.key}.json"
        if not path.exists():
            return None
        try:
            found = CellResult.from_json(json.loads(path.read_text()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{path} is not a cell of this suite: {error}") from error
        asked = cell.config.to_json()
        same = all(asked[name] == value for name, value in found.config.items() if name in asked)
        return found if same else None

    def done(self, cell: Cell) -> CellResult | None:
        """Read a cell's result where it went well; a failed cell is to be run again."""
        found = self.read(cell)
        return found if found is not None and found.status == "ok" else None

    def missing(self, cells: Iterable[Cell]) -> list[Cell]:
        """List the cells that have yet to be run, in order, each once."""
        unique = {cell.key: cell for cell in cells}
        return [cell for cell in unique.values() if self.done(cell) is None]
