"""What the suite trains: algorithms of the registry, each with a label."""

from __future__ import annotations

from bench.cases.bench_accuracy import FURTHER, VARIANTS
from bench.labels import ALGORITHMS, FRONTIER_ALGORITHMS, FURTHER_ALGORITHMS, label
from bench.suite.scales import SCALES
from zo_core.algorithms.registry import ALGORITHMS as REGISTRY


def test_what_is_trained_at_every_scale_is_an_algorithm_with_a_label() -> None:
    for scale in SCALES.values():
        trained = {*FURTHER, *FRONTIER_ALGORITHMS, *scale.accuracy_variants} - {"zowarmup-plain"}
        assert trained <= set(REGISTRY)
    labelled = {*ALGORITHMS, *FURTHER_ALGORITHMS, *FRONTIER_ALGORITHMS}
    assert labelled <= set(REGISTRY)
    assert all(label(name) != name for name in {*labelled, *VARIANTS})


def test_a_further_method_runs_at_most_as_long_as_what_is_compared() -> None:
    for scale in SCALES.values():
        assert scale.further_pivot < scale.further_rounds <= scale.accuracy_rounds
