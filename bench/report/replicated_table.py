"""The places of a record of the paper's tables: one per row and split, looked up and compared."""

from __future__ import annotations

from dataclasses import dataclass

from bench.records.case_name import place_key
from bench.records.details.tables import PlaceDetails, TableDetails
from bench.records.paired import PairedDifference, paired_difference
from bench.records.record import Metric, Record


@dataclass(frozen=True, slots=True)
class ReplicatedTable:
    """A record of one of the paper's tables or figures, with its typed details."""

    record: Record
    details: TableDetails

    @classmethod
    def of(cls, record: Record) -> ReplicatedTable | None:
        """Read a record; None for one without places: the search's, and one that failed."""
        details = record.details_as(TableDetails)
        return None if details is None else cls(record, details)

    @property
    def places(self) -> tuple[PlaceDetails, ...]:
        """All places, split by split."""
        return self.details.places

    def metric(self, place: PlaceDetails, name: str) -> Metric | None:
        """Return a place's metric; None where it does not apply or nothing is done."""
        metric = self.record.metrics.get(f"{place_key(place.row, place.split)}/{name}")
        return metric if metric is not None and metric.value is not None else None

    def place(self, row: str | None, split: str) -> PlaceDetails | None:
        """Return a place by row and split."""
        return next((p for p in self.places if (p.row, p.split) == (row, split)), None)

    def label(self, row: str | None) -> str:
        """Return a row's label."""
        return next((p.label for p in self.places if p.row == row), str(row))

    def difference(
        self, place: PlaceDetails | None, other: PlaceDetails | None, name: str
    ) -> PairedDifference | None:
        """Compare two places on the seeds that both have."""
        if place is None or other is None:
            return None
        ours, theirs = self._by_seed(place, name), self._by_seed(other, name)
        pairs = [value - theirs[seed] for seed, value in ours.items() if seed in theirs]
        return paired_difference(pairs) if pairs else None

    def _by_seed(self, place: PlaceDetails, name: str) -> dict[int, float]:
        metric = self.metric(place, name)
        if metric is None or len(metric.samples) != len(place.seeds):
            return {}
        return dict(zip(place.seeds, metric.samples, strict=True))
