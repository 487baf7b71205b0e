"""The table of step variants is the only list of them, and the engine knows each."""

from __future__ import annotations

from bench.step_variants import BACKPROP_VARIANTS, FORWARD_VARIANTS, PLAIN
from bench.workloads.low_memory_steps import LOW_MEMORY_STEPS
from zo_core.algorithms import train_config
from zo_core.first_order.memory_efficient_backprop import BACKPROP

ALL = (*BACKPROP_VARIANTS, *FORWARD_VARIANTS)


def test_names_and_labels_are_distinct() -> None:
    assert len({variant.name for variant in ALL} | {PLAIN}) == len(ALL) + 1
    assert len({variant.method_label for variant in ALL}) == len(ALL)


def test_each_variant_is_one_of_the_engines_and_measured_as_a_step() -> None:
    assert {variant.backprop for variant in BACKPROP_VARIANTS} == BACKPROP.keys() - {PLAIN}
    assert {variant.method for variant in ALL} <= set(LOW_MEMORY_STEPS)
    for variant in ALL:
        train_config(algorithm="fedavg", **variant.settings)
