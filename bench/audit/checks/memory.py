"""(k) A step needs hardly more memory than one forward."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

from bench.audit.case import AuditCase
from bench.audit.evidence import Evidence
from bench.audit.finding import Finding, Rule
from bench.audit.losses import loss_of
from bench.audit.observe import take_step
from bench.format import format_bytes
from devices.tensor_memory import track_tensors

RULE = Rule(
    letter="k",
    check="a step needs little memory above one forward",
    why="memory is what zeroth-order training is for: a copy of the weights gives it away",
)
_TENSORS = 3.5  # copies of the largest tensor: a direction, its scaled copy and the result
_WORKING_BYTES = 1 << 20  # of fixed size, whatever the model


@dataclass(frozen=True, slots=True, kw_only=True)
class _Peaks:
    """Bytes above what exists before, for tensors and for NumPy arrays."""

    tensors: int
    arrays: int


def check(evidence: Evidence) -> Finding:
    """Compare the peaks of a step and of one forward."""
    if evidence.first_case.loss is None:
        return RULE.not_applicable("the case has no loss: one forward's memory is not known")
    weights = evidence.step.start.values()
    sizes = [value.numel() * value.element_size() for value in weights]
    forward, step = (_peaks(evidence, is_step=is_step) for is_step in (False, True))
    extra = max(step.tensors - forward.tensors, step.arrays - forward.arrays, 0)
    return _verdict(extra, sum(sizes), max(sizes), forward.tensors)


def _verdict(extra: int, total: int, largest: int, forward: int) -> Finding:
    slack = _WORKING_BYTES + forward // 10
    if total <= slack:
        return RULE.not_applicable(f"the model is too small to tell: {format_bytes(total)}")
    figure = (
        f"{format_bytes(extra)} above one forward: {extra / total:.2f} of the weights, "
        f"{extra / largest:.1f} of the largest tensor"
    )
    is_copy = extra > slack + total / 2
    if is_copy and extra <= slack + _TENSORS * largest:
        return RULE.not_applicable(f"{figure}, and one tensor is most of the model")
    return RULE.judged(extra <= slack + _TENSORS * largest, figure, extra / total)


def _peaks(evidence: Evidence, *, is_step: bool) -> _Peaks:
    case = evidence.case()
    with track_tensors(parameters=case.module.parameters(), existing=case.module.buffers()) as live:
        _run(case, is_step)
    tensors = live.result().peak_above_baseline_bytes
    return _Peaks(tensors=tensors, arrays=_arrays(evidence.case(), is_step))


def _arrays(case: AuditCase, is_step: bool) -> int:
    """Return the peak of what Python and NumPy allocate."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        _run(case, is_step)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def _run(case: AuditCase, is_step: bool) -> None:
    if is_step:
        take_step(case)
    else:
        loss_of(case)
