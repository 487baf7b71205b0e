"""Which run each sample of an accuracy is of, by what the groups' records hold of it."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records.case_name import place_key
from bench.records.details.tables import TableDetails
from bench.records.details.training import AccuracyDetails
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
    table = record.details_as(TableDetails)
    for place in table.places if table else ():  # each with seeds of its own
        if name.startswith(f"{place_key(place.row, place.split)}/"):
            return place.seeds
    if "sources" in record.config:  # a frontier: one figure of the runs that these hashes name
        return (" ".join(sorted(record.config["sources"].values())),)
    trainings = record.details_as(AccuracyDetails)
    if trainings is not None:
        return trainings.seeds
    seeds = record.config.get("run_seed", ())
    return (seeds,) if isinstance(seeds, int) else tuple(seeds)
