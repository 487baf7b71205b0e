"""Which run each sample of an accuracy is of, by what the groups' records hold of it."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records.case_name import place_key
from bench.records.record import Record

Seed = int | str  # a run's seed; of a sample made from other runs, what names them


def sample_seeds(record: Record, name: str) -> Sequence[Seed]:
    """Name the run of each sample of a metric, in the samples' order.

    Args:
        record: of any group.
        name: of one of its accuracies.

    Returns:
        A seed a sample; nothing where the record does not say.
    """
    for place in record.details.get("places", ()):  # a table, each place with seeds of its own
        if name.startswith(f"{place_key(place['row'], place['split'])}/"):
            return tuple(place["seeds"])
    if "sources" in record.config:  # a frontier: one figure of the runs that these hashes name
        return (" ".join(sorted(record.config["sources"].values())),)
    seeds = record.details.get("seeds", record.config.get("run_seed", ()))
    return (seeds,) if isinstance(seeds, int) else tuple(seeds)
