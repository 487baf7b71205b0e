"""Two algorithms on the same seeds: their paired difference and what the seeds can tell of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.records.details.training import AccuracyDetails
from bench.records.record import Record

MIN_PAIRS = 3  # for an interval


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """First minus second over the seeds that both have."""

    n: int  # pairs
    mean: float
    std: float | None  # sample standard deviation; None for one pair
    interval: tuple[float, float] | None  # 95 %; None for fewer than MIN_PAIRS

    @property
    def sign(self) -> int | None:
        """1 or -1 where the interval leaves 0 out, 0 where it does not; None without interval."""
        if self.interval is None:
            return None
        low, high = self.interval
        return 1 if low > 0 else -1 if high < 0 else 0


def paired_difference(differences: Sequence[float]) -> PairedDifference:
    """Compute mean, spread and Student's 95 % interval of paired differences.

    Args:
        differences: one for each pair, at least one.

    Returns:
        The difference; one pair has no spread, fewer than three have no interval: two that
        happen to be alike would give one of no width.

    >>> paired_difference([0.02, 0.04]).n
    2
    """
    n, mean = len(differences), statistics.fmean(differences)
    std = statistics.stdev(differences) if n > 1 else None
    if std is None or n < MIN_PAIRS:
        return PairedDifference(n=n, mean=mean, std=std, interval=None)
    half = _t_quantile(n - 1) * std / math.sqrt(n)
    return PairedDifference(n=n, mean=mean, std=std, interval=(mean - half, mean + half))


def paired_bound(differences: Sequence[float], confidence: float) -> float | None:
    """Return the upper one-sided bound of the mean of paired differences, by Student's t.

    Args:
        differences: one for each pair.
        confidence: e.g. 0.99.

    Returns:
        The bound; None for fewer than three pairs.
    """
    n = len(differences)
    if n < MIN_PAIRS:
        return None
    half = _t_quantile(n - 1, confidence) * statistics.stdev(differences) / math.sqrt(n)
    return statistics.fmean(differences) + half


def compare_on_seeds(
    first: Record | None, second: Record | None, metric: str
) -> PairedDifference | None:
    """Compare two records' metric on the seeds that both ran; None where they share none."""
    ours, theirs = _by_seed(first, metric), _by_seed(second, metric)
    differences = [value - theirs[seed] for seed, value in ours.items() if seed in theirs]
    return paired_difference(differences) if differences else None


def _t_quantile(degrees: int, share: float = 0.975) -> float:
    """A quantile of Student's t; that of a two-sided 95 % interval if none is given."""
    from scipy.stats import t

    return float(t.ppf(share, degrees))


def _by_seed(record: Record | None, metric: str) -> dict[int, float]:
    if record is None or metric not in record.metrics:
        return {}
    samples = record.metrics[metric].samples
    # A seed without a sample would shift all pairs after it: then nothing is comparable.
    details = record.details_as(AccuracyDetails)
    seeds = details.seeds if details else ()
    return dict(zip(seeds, samples, strict=True)) if len(seeds) == len(samples) else {}
