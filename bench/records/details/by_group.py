"""Which details the records of each group have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bench.records.details.accuracy import AccuracyDetails, TrainDetails
from bench.records.details.edge import EdgeDetails
from bench.records.details.engine import EngineDetails
from bench.records.details.fit import FitDetails
from bench.records.details.formulas import FormulasDetails
from bench.records.details.frontier import FrontierDetails
from bench.records.details.llm import LlmDetails
from bench.records.details.memory import MemoryDetails
from bench.records.details.tables import TablesDetails
from bench.records.details.wire import WireDetails


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
    "llm": LlmDetails,
    "memory": MemoryDetails,
    "tables": TablesDetails,
    "time": NoDetails,
    "train": TrainDetails,
    "wire": WireDetails,
}
