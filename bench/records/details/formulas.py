"""Details of the group formulas: Table 1 of the paper and the counts below it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """One count, expected and found."""

    quantity: str
    expected: float
    found: float
    source: str  # of the expected figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What torchinfo counts of a model, and what torch's dispatcher saw."""

    model: str
    quantity: str
    torchinfo: int
    counted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsDetails:
    """The counts that the formulas rest on."""

    rows: tuple[Count, ...]
    listings: tuple[Listing, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table1Row:
    """One cell of Table 1: printed, recomputed and measured."""

    quantity: str  # "up-link", "down-link" or "memory"
    method: str  # "fedavg" or "zo"
    unit: str
    printed: str
    recomputed: float
    formula: str
    measured: float | None  # of memory, None: the report joins it from the memory cases
    measured_how: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A formula's value at one batch size."""

    batch: int
    method: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One difference between formula and measurement."""

    term: str
    bytes: float  # signed: what the measurement has more than the formula
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualTerms:
    """What a step was seen to do that its formula does not count, term by term."""

    formula_bytes: float
    terms: tuple[Term, ...]
    default_bytes: tuple[float, ...]  # processes in which the C library may keep freed blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class NoResidual:
    """Why there is none."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table1Details:
    """Table 1, its formulas' lines, and what the formulas do not count."""

    rows: tuple[Table1Row, ...]
    notes: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    residual: Mapping[str, ResidualTerms | NoResidual]  # by method


FormulasDetails = CountsDetails | Table1Details
