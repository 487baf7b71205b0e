"""All figures of a folder of records as one CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from bench.records.record import Record

NAME = "records.csv"
_COLUMNS = ("case", "status", "metric", "value", "unit", "statistic", "n", "low", "high", "std")
_FURTHER = ("method", "reason", "config_hash", "commit", "created")


def csv_text(records: Iterable[Record]) -> str:
    """Write one row per metric; a record without metrics has one row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_COLUMNS, *_FURTHER))
    for record in records:
        writer.writerows(_rows(record))
    return text.getvalue()


def _rows(record: Record) -> list[tuple[object, ...]]:
    origin = record.provenance
    further = (record.config_hash, origin.commit, origin.created)
    if not record.metrics:
        return [(record.case, record.status, *[None] * 9, record.error, *further)]
    return [
        (
            *(record.case, record.status, name, metric.value, metric.unit, metric.statistic),
            *(metric.n, *(metric.spread or (None, None)), metric.std),
            *(metric.method, metric.reason, *further),
        )
        for name, metric in record.metrics.items()
    ]
