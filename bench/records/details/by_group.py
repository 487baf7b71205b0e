"""Which details the records of each group have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bench.records.details.formulas import FormulasDetails
from bench.records.details.instruct import InstructDetails
from bench.records.details.machine import (
    EdgeDetails,
    EngineDetails,
    FitDetails,
    FitsDetails,
    MemoryDetails,
    StepDetails,
    TimeDetails,
    WireDetails,
)
from bench.records.details.tables import TablesDetails
from bench.records.details.training import AccuracyDetails, FrontierDetails, TrainDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class NoDetails:
    """Of a case whose metrics say everything, and of one that failed."""


DETAILS: Final[dict[str, Any]] = {  # by group; a record of any group may have none
    "accuracy": AccuracyDetails,
    "bytes": NoDetails,
    "edge": EdgeDetails,
    "engine": EngineDetails,
    "fit": FitDetails,
    "formulas": FormulasDetails,
    "frontier": FrontierDetails,
    "llm": StepDetails | FitsDetails | InstructDetails,
    "memory": MemoryDetails,
    "tables": TablesDetails,
    "tests": NoDetails,
    "time": TimeDetails,
    "train": TrainDetails,
    "wire": WireDetails,
}
