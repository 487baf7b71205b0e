"""The timeline of a step: the phases in order, and no point above the peak."""

from __future__ import annotations

from itertools import groupby

import pytest
import torch

from devices.tensor_memory import track_tensors
from devices.tensor_timeline import POINTS, TensorTimeline


def collected(*operators: tuple[int, bool, bool]) -> TensorTimeline:
    timeline = TensorTimeline()
    for live_bytes, in_backward, has_grad in operators:
        timeline.add(live_bytes, in_backward=in_backward, has_grad=has_grad)
    return timeline


FORWARD, BACKWARD, NO_GRAD = (False, True), (True, False), (False, False)


def test_few_operators_are_kept_as_they_are() -> None:
    timeline = collected((1, *FORWARD), (3, *BACKWARD), (2, *NO_GRAD))
    assert timeline.points() == ((1, 3, 2), ("forward", "backward", "update"))


def test_without_a_backward_pass_all_is_forward() -> None:
    assert collected((1, *NO_GRAD), (2, *NO_GRAD)).points()[1] == ("forward", "forward")


def test_the_next_micro_batch_is_forward_again() -> None:
    phases = collected(*((1, *each) for each in (FORWARD, BACKWARD, FORWARD, BACKWARD))).points()[1]
    assert phases == ("forward", "backward", "forward", "backward")


@pytest.mark.parametrize("count", [0, 1, POINTS, POINTS + 1, 7 * POINTS + 3])
def test_parts_keep_their_peaks(count: int) -> None:
    live, phases = collected(*((each, *FORWARD) for each in range(count))).points()
    assert len(live) == len(phases) == min(count, POINTS)
    assert list(live) == sorted(live)
    assert not count or live[-1] == count - 1


def test_a_step_of_backprop_goes_through_its_phases_below_the_peak() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    x = torch.ones(4, 8)
    with track_tensors(parameters=model.parameters(), existing=[x]) as tracker:
        model(x).square().sum().backward()
        with torch.no_grad():
            for weight in model.parameters():
                weight.sub_(weight.grad)
    found = tracker.result()
    order = [phase for phase, _ in groupby(found.timeline_phases)]
    assert order == ["forward", "backward", "update"]
    assert max(found.timeline_bytes) == found.peak_bytes
