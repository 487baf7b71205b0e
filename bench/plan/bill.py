"""The bill of a whole training, from what one round takes: a figure with its range and its basis.

A round of a federation lasts as long as its slowest client computes and transfers; a whole run's
device hours are the sum over all clients.  What is not known is None, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from bench.format import MIB, are_alike, format_hours, format_number
from bench.plan.measuring import RoundCost
from bench.plan.request import LABELS, VARIANTS, Request
from zo_core.cost_model import comm_full, comm_zo_down, comm_zo_up

_HOUR_S = 3600.0
MEASURED, COUNTED = "measured here", "counted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number with its range; None where a factor of it is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None
    basis: str  # where it comes from, or why there is none

    @classmethod
    def unknown(cls, reason: str) -> Figure:
        """Make a figure that is not known."""
        return cls(value=None, basis=reason)

    def times(self, factor: float, low: float | None = None, high: float | None = None) -> Figure:
        """Scale a figure; a known one by a range of factors where that is given."""
        if self.value is None or self.low is None or self.high is None:
            return self
        return Figure(
            value=self.value * factor,
            low=self.low * (factor if low is None else low),
            high=self.high * (factor if high is None else high),
            basis=self.basis,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How much longer the planned device takes than this machine."""

    factor: float | None  # None: not known
    low: float | None = None
    high: float | None = None
    basis: str = MEASURED


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What one variant costs: a client that takes part in every round, and the whole run."""

    variant: str
    label: str
    rounds: int | None
    client_compute_h: Figure
    client_link_h: Figure
    client_mb: Figure
    client_joules: Figure
    peak_mib: Figure
    run_h: Figure  # wall clock, clients of a round at the same time
    run_device_h: Figure  # sum over all clients, as a simulation in one process takes
    run_mb: Figure
    run_joules: Figure
    how: str  # how local training takes its steps


@dataclass(frozen=True, slots=True)
class _Phase:
    """Some rounds of one kind."""

    rounds: int
    cohort: int
    share: float  # of these rounds in which one client takes part
    cost: RoundCost
    bytes_per_round: float  # up and down, of a client that takes part


def bills(request: Request, costs: Mapping[str, RoundCost | str], speed: Speed) -> list[Bill]:
    """Make the bill of each variant, in the order of VARIANTS."""
    return [_bill(request, variant, costs, speed) for variant in VARIANTS]


def _bill(
    request: Request, variant: str, costs: Mapping[str, RoundCost | str], speed: Speed
) -> Bill:
    rounds = request.rounds[variant]
    needed = [costs[variant]] if variant != "zowarmup" else [costs["zowarmup"], costs["fedavg"]]
    failed = [cost for cost in needed if isinstance(cost, str)]
    if rounds is None or failed:
        return _unknown(variant, rounds, failed[0] if failed else "no record gives the rounds")
    known = [cost for cost in needed if isinstance(cost, RoundCost)]
    phases = _phases(request, variant, rounds, known)
    one_time = comm_full(known[0].values) if variant == "zowarmup" else 0
    megabytes = (one_time + sum(p.rounds * p.share * p.bytes_per_round for p in phases)) / 1e6
    run_mb = (
        one_time * request.clients + sum(p.rounds * p.cohort * p.bytes_per_round for p in phases)
    ) / 1e6
    compute = _seconds(speed, phases, lambda p: p.rounds * p.share, lambda p: p.rounds * p.share)
    link = _link(request, megabytes)
    wall = _seconds(speed, phases, lambda p: p.rounds, lambda p: p.rounds)
    return Bill(
        variant=variant,
        label=LABELS[variant],
        rounds=rounds,
        client_compute_h=compute.times(1 / _HOUR_S),
        client_link_h=link,
        client_mb=Figure(value=megabytes, low=megabytes, high=megabytes, basis=COUNTED),
        client_joules=_joules(phases, lambda p: p.rounds * p.share, speed),
        peak_mib=_peak(known),
        run_h=_sum(wall.times(1 / _HOUR_S), _link(request, one_time / 1e6 + _slowest_mb(phases))),
        run_device_h=_seconds(
            speed, phases, lambda p: p.rounds * p.cohort, lambda p: p.rounds
        ).times(1 / _HOUR_S),
        run_mb=Figure(value=run_mb, low=run_mb, high=run_mb, basis=COUNTED),
        run_joules=_joules(phases, lambda p: p.rounds * p.cohort, speed),
        how=known[0].backprop,
    )


def _phases(request: Request, variant: str, rounds: int, costs: list[RoundCost]) -> list[_Phase]:
    cohort = min(request.cohort, request.high if variant == "zowarmup" else request.clients)
    pool = request.high if variant == "zowarmup" else request.clients
    dense = 2 * comm_full(costs[0].values)
    if variant != "zowarmup":
        return [_Phase(rounds, cohort, cohort / pool, costs[0], dense)]
    zo, fedavg = costs
    scalars = comm_zo_up(request.directions) + comm_zo_down(request.directions, request.clients)
    return [
        _Phase(request.pivot, cohort, cohort / pool, fedavg, dense),
        _Phase(rounds - request.pivot, request.clients, 1.0, zo, scalars),
    ]


def _seconds(
    speed: Speed,
    phases: list[_Phase],
    client_rounds: Callable[[_Phase], float],
    whole_rounds: Callable[[_Phase], float],
) -> Figure:
    """Sum the seconds of clients' shares of rounds, and of what a round takes once."""
    if speed.factor is None:
        return Figure.unknown(speed.basis)
    sums = [0.0, 0.0, 0.0]
    for phase in phases:
        once = phase.cost.per_round()
        for index, each in enumerate(phase.cost.per_client()):
            sums[index] += client_rounds(phase) * each + whole_rounds(phase) * once
    low, value, high = sums
    found = Figure(value=value, low=low, high=high, basis=speed.basis)
    return found.times(speed.factor, speed.low, speed.high)


def _joules(phases: list[_Phase], client_rounds: Callable[[_Phase], float], speed: Speed) -> Figure:
    if speed.basis != MEASURED:
        return Figure.unknown("no energy meter of that device was read")
    total = 0.0
    for phase in phases:
        if phase.rounds and phase.cost.joules is None:
            return Figure.unknown(phase.cost.joules_method or "no energy meter")
        total += client_rounds(phase) * (phase.cost.joules or 0.0)
    return Figure(value=total, low=total, high=total, basis=MEASURED)


def _peak(costs: list[RoundCost]) -> Figure:
    peaks = [cost.peak_bytes for cost in costs]
    if any(peak is None for peak in peaks):
        return Figure.unknown("this system keeps no high-water mark")
    mib = max(peak / MIB for peak in peaks if peak is not None)
    return Figure(value=mib, low=mib, high=mib, basis=MEASURED)


def _link(request: Request, megabytes: float) -> Figure:
    if request.link_bits_per_s is None:
        return Figure.unknown("no --link")
    hours = megabytes * 8e6 / request.link_bits_per_s / _HOUR_S
    return Figure(value=hours, low=hours, high=hours, basis=f"{COUNTED}, at the rate of --link")


def _slowest_mb(phases: list[_Phase]) -> float:
    return sum(phase.rounds * phase.bytes_per_round for phase in phases) / 1e6


def _sum(compute: Figure, link: Figure) -> Figure:
    """Add computing and transfer; without a link, computing alone."""
    if compute.value is None or link.value is None or compute.low is None or compute.high is None:
        return compute
    return Figure(
        value=compute.value + link.value,
        low=compute.low + link.value,
        high=compute.high + link.value,
        basis=compute.basis,
    )


def _unknown(variant: str, rounds: int | None, reason: str) -> Bill:
    figures = {each.name: Figure.unknown(reason) for each in fields(Bill) if each.type == "Figure"}
    return Bill(variant=variant, label=LABELS[variant], rounds=rounds, how="", **figures)


def advice(found: list[Bill], limit_bytes: int | None, device: str) -> str:
    """Say in one sentence which variant to use, by memory first, then by time."""
    peaks = {bill.variant: bill.peak_mib.value for bill in found}
    known = [bill for bill in found if bill.peak_mib.value is not None]
    if not known:
        return "No variant could be measured; the reasons are in the table."
    limit = math.inf if limit_bytes is None else limit_bytes / MIB
    fitting = [bill for bill in known if (peaks[bill.variant] or math.inf) <= limit]
    if not fitting:
        least = min(known, key=lambda bill: bill.peak_mib.value or math.inf)
        return (
            f"None fits {device}: {least.label} needs least, {least.peak_mib.value:.0f} MiB of "
            f"{limit:.0f} MiB; take smaller micro-batches or a smaller model."
        )
    timed = [bill for bill in fitting if bill.run_h.value is not None]
    if not timed:
        names = ", ".join(bill.label for bill in fitting)
        return f"Use one of those that fit {device}: {names}; their time there is not known."
    best = min(timed, key=lambda bill: bill.run_h.value or math.inf)
    small = min(fitting, key=lambda bill: bill.run_mb.value or math.inf)
    words = f"Use {best.label}: it fits and takes least time, {_time(best)}"
    most_mb, least_mb = best.run_mb.value, small.run_mb.value
    if most_mb and least_mb and not are_alike(most_mb, least_mb):
        ratio = format_number(most_mb / least_mb, 2)
        words += f"; {small.label} sends {ratio}x less data and takes {_time(small)}"
    return f"{words}. The accuracy of the variants differs: see --to."


def _time(bill: Bill) -> str:
    return "an unknown time" if bill.run_h.value is None else format_hours(bill.run_h.value)
