"""(j) The same seed gives the same step in another process and with other thread counts."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from bench.audit.child import digest_of, take_observed_step
from bench.audit.directions import displacement, inner
from bench.audit.evidence import Evidence
from bench.audit.finding import Finding, Rule
from devices.isolate import run_isolated
from devices.temporary import temporary_folder

RULE = Rule(
    letter="j",
    check="the same seed repeats in another process and thread count",
    why="who receives a seed rebuilds the step from it; a result that cannot be repeated is lost",
)
_LEAST_COSINE = (
    0.9  # between the updates; a forward's rounding scales them, and a tiny dL flips them
)
_TIMEOUT_S = 600


def check(evidence: Evidence) -> Finding:
    """Take the step again in a fresh process and compare the weights at its points."""
    if evidence.target is None:
        return RULE.not_applicable("the factory has no name that another process can import")
    threads = 1 if torch.get_num_threads() > 1 else 2
    with temporary_folder() as folder:
        path = folder / "update.safetensors"
        again = run_isolated(
            take_observed_step,
            *(evidence.target, evidence.seed, evidence.lr, threads, str(path)),
            timeout_s=_TIMEOUT_S,
            env={"OMP_NUM_THREADS": str(threads)},
        )
        if again.status != "ok":
            return RULE.not_applicable(f"another process could not take the step: {again.error}")
        cosine = _cosine(evidence, path)
    same_start, same_points = (
        here == there for here, there in zip(digest_of(evidence.step), again.value, strict=True)
    )
    return _verdict(same_start, same_points, cosine, threads)


def _verdict(same_start: bool, same_points: bool, cosine: float, threads: int) -> Finding:
    figure = f"update's cosine {cosine:.4f} in another process with {threads} threads"
    if not same_start:
        return RULE.judged(False, "another process starts from other weights", cosine)
    if not same_points:
        return RULE.judged(False, f"perturbed weights differ in their bits; {figure}", cosine)
    return RULE.judged(abs(cosine) >= _LEAST_COSINE, f"same bits; {figure}", cosine)


def _cosine(evidence: Evidence, path: Path) -> float:
    """Return the cosine between both updates; 1 where neither moved."""
    ours = displacement(evidence.step.end, evidence.step.start)
    theirs = {name: value.double().flatten() for name, value in load_file(path).items()}
    if ours.keys() != theirs.keys():
        return 0.0
    sizes = inner(ours, ours) * inner(theirs, theirs)
    return inner(ours, theirs) / sizes**0.5 if sizes else float(inner(ours, ours) == 0.0)
