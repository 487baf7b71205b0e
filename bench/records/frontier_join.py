"""A variant's client costs joined with its training: the frontier's moments, from two records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from bench.records.case_name import CaseName
from bench.records.details.accuracy import AccuracyDetails
from bench.records.details.curve import CurvePoint
from bench.records.details.frontier import ClientCost, FrontierDetails
from bench.records.record import Record
from bench.records.record_index import Results


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One evaluation of a training, means over its seeds."""

    accuracy: float  # share of the test split
    bytes_a_client: float  # payload up and down so far, hand-over and catch-up included
    seconds: float  # rounds so far, each as long as its slowest client's work
    joules: float | None  # of one client that takes part in every round


def moments_of(results: Results, record: Record) -> tuple[Moment, ...]:
    """Join a frontier record's costs with its own curves, or with the accuracy record's.

    Args:
        results: all records of the folder.
        record: of the group frontier.

    Returns:
        The moments in order of rounds; none where the folder has no training of the variant.
    """
    costs = record.details_as(FrontierDetails)
    if costs is None:
        return ()
    curves = costs.curves or _trained(results, record.name)
    return moments(
        curves,
        clients=record.config["clients"],
        phase_rounds=costs.phase_rounds,
        round_s=[slowest(costs.costs, phase) for phase in range(len(costs.phase_rounds))],
        round_joules=[most_joules(costs.costs, phase) for phase in range(len(costs.phase_rounds))],
    )


def moments(
    curves: Sequence[Sequence[CurvePoint]],
    *,
    clients: int,
    phase_rounds: Sequence[int],
    round_s: Sequence[float],
    round_joules: Sequence[float | None],
) -> tuple[Moment, ...]:
    """Join a training's curves with the cost of its rounds.

    Args:
        curves: evaluations by seed.
        clients: of the training.
        phase_rounds: rounds of each phase.
        round_s: what a round of each phase takes its slowest client.
        round_joules: what it takes a client in joules; None where that is not known.

    Returns:
        One moment for each evaluation that all seeds have.
    """
    known = [joules for joules in round_joules if joules is not None]
    whole = len(known) == len(round_joules)
    return tuple(
        Moment(
            accuracy=_mean([point.test_accuracy for point in column]),
            bytes_a_client=(
                _mean([p.up_payload_bytes for p in column])
                + _mean([p.down_payload_bytes for p in column])
            )
            / clients,
            seconds=_so_far(column[0].rounds_done, phase_rounds, round_s),
            joules=_so_far(column[0].rounds_done, phase_rounds, known) if whole else None,
        )
        for column in zip(*curves, strict=False)
    )


def slowest(costs: Sequence[ClientCost], phase: int) -> float:
    """Return the seconds of a phase's slowest client, each by the fastest of its repeats."""
    return max(min(cost.seconds) for cost in costs if cost.phase == phase)


def most_joules(costs: Sequence[ClientCost], phase: int) -> float | None:
    """Return the most joules that a phase's round takes a client; None where one is not known."""
    found = [cost.joules for cost in costs if cost.phase == phase]
    known = [joules for joules in found if joules is not None]
    return max(known) if len(known) == len(found) else None


def _trained(results: Results, name: CaseName) -> tuple[tuple[CurvePoint, ...], ...]:
    record = results.record(CaseName.accuracy(name.variant, name.panel))
    details = record.details_as(AccuracyDetails) if record and record.status == "ok" else None
    return details.curves if details else ()


def _so_far(rounds: int, phase_rounds: Sequence[int], each: Sequence[float]) -> float:
    starts = [0, *accumulate(phase_rounds)]
    return sum(
        cost * min(max(rounds - start, 0), length)
        for cost, start, length in zip(each, starts, phase_rounds, strict=False)
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
