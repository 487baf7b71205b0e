"""What compacting leaves of a committed cell."""

import json
from dataclasses import replace

from compact_results import compact_cell, with_short_curves
from tiny_cells import result, tiny_cell

from bench.sweeps.cell import CellResult


def test_compacting_a_cell_shortens_times_and_test_accuracies_alone() -> None:
    whole = replace(result(tiny_cell(), 1 / 3), seconds=1.23456789)
    text = compact_cell(whole.to_json())
    found = CellResult.from_json(json.loads(text))
    assert whole.training
    assert found.training
    points = zip(whole.training.curve, (0.5, 0.333333), strict=True)
    curve = tuple(replace(point, test_accuracy=accuracy) for point, accuracy in points)
    short = replace(whole, seconds=1.2346, training=replace(whole.training, curve=curve))
    assert found == short
    assert compact_cell(json.loads(text)) == text
    assert '"projected_s"' not in text  # it has its default


def test_a_cell_without_a_training_stays_as_it_is() -> None:
    failed = result(tiny_cell(), None)
    assert CellResult.from_json(json.loads(compact_cell(failed.to_json()))) == failed


def test_numbers_are_short_in_curves_alone() -> None:
    numbers = {"test_accuracy": [1 / 3], "elapsed_s": [1.23456], "up_payload_bytes": [7]}
    short = {"test_accuracy": [0.333333], "elapsed_s": [1.2346], "up_payload_bytes": [7]}
    found = with_short_curves({"curves": [numbers], "seconds": 1e-6})
    assert found == {"curves": [short], "seconds": 1e-6}
