"""Table 1's memory, from formula to measurement: each difference a term of its own.

Every term is measured or computed by itself.  The report joins them with the memory cases and shows
what they leave over, see :mod:`bench.report.groups.formulas`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.records.details.formulas import ResidualTerms, Term
from bench.workloads.tensors_alive_at_peak import TensorsAtPeak
from zo_core import cost_model

_TRACKED = "tensor storage at the peak, seen at torch's dispatcher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one method's step was seen to do; bytes, at the largest sum of live tensors."""

    parameters: int  # parameter tensors' storage
    gradients: int  # of parameters
    activation_gradients: int
    layer_outputs: int  # of layers with parameters, alive
    saved: int  # what autograd kept beside them
    tensors_above_baseline: int  # all that the step made
    allocator_above_baseline: int  # the same, and kernels' buffers, by the allocator's events
    default_above_baseline: tuple[float, ...]  # of processes left to glibc's default

    @classmethod
    def of(cls, alive: TensorsAtPeak, *, default: Sequence[float]) -> Evidence:
        """Join the tensors alive at a step's peak with peaks of processes."""
        kinds = alive.tensors.by_category
        return cls(
            parameters=kinds["parameter"],
            gradients=kinds["gradient"],
            activation_gradients=kinds["activation gradient"],
            layer_outputs=alive.layer_outputs,
            saved=alive.saved,
            tensors_above_baseline=alive.tensors.peak_above_baseline_bytes,
            allocator_above_baseline=alive.allocator_above_baseline,
            default_above_baseline=tuple(default),
        )


def residual_terms(
    method: str,
    parameters: int,
    activations: cost_model.ActivationCounts,
    batch: int,
    evidence: Evidence,
) -> ResidualTerms:
    """Name what a step does that its formula does not count.

    Args:
        method: "fedavg" (eq. 4) or "zo" (eq. 5).
        parameters: P.
        activations: layer outputs, each counted once, floats per image.
        batch: images.
        evidence: what was seen.

    Returns:
        The formula, the terms that lead from it to the measured process, and the samples of
        processes in which the C library may keep freed blocks, weights added.
    """
    weights = cost_model.FLOAT_BYTES * parameters
    if method == "fedavg":
        formula = cost_model.mem_full(parameters, activations, batch)
        counted = activations.total
    else:
        formula = cost_model.mem_zero(parameters, activations, batch)
        counted = activations.largest
    outputs = cost_model.FLOAT_BYTES * batch * counted
    terms = [*_weight_terms(method, weights, evidence), *_tensor_terms(method, outputs, evidence)]
    return ResidualTerms(
        formula_bytes=formula,
        terms=(*terms, _buffer_term(evidence)),
        default_bytes=tuple(above + weights for above in evidence.default_above_baseline),
    )


_SECOND_COPY = {
    "fedavg": "gradients that are not there at the peak (not yet made)",
    "zo": "second copy of the parameters, which an in-place perturbation does not hold",
}


def _weight_terms(method: str, weights: int, evidence: Evidence) -> list[Term]:
    held = evidence.parameters + evidence.gradients
    return [Term(term=_SECOND_COPY[method], bytes=held - 2 * weights, how=_TRACKED)]


def _tensor_terms(method: str, counted: int, evidence: Evidence) -> list[Term]:
    alive = "layers' outputs followed by identity until they die"
    if method == "fedavg":
        outputs = "layer outputs counted, but freed by the peak (shortcuts' sums, and by backward)"
    else:
        outputs = "layer outputs alive beside the largest (a layer's input, a block's input)"
    return [
        Term(term=outputs, bytes=evidence.layer_outputs - counted, how=alive),
        Term(
            term="kept for backward and not counted (norm statistics, pooled features, softmax)",
            bytes=evidence.saved,
            how="autograd's saved tensors, followed until they die",
        ),
        Term(
            term="gradients of activations, not counted",
            bytes=evidence.activation_gradients,
            how=_TRACKED,
        ),
    ]


def _buffer_term(evidence: Evidence) -> Term:
    return Term(
        term="kernels' buffers (convolutions' reordered inputs and weights)",
        bytes=evidence.allocator_above_baseline - evidence.tensors_above_baseline,
        how="peak by the allocator's own events, minus peak of tensors, in one process",
    )
