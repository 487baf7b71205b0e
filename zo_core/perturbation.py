"""In-place perturbation of a model's weights from a seed."""

from __future__ import annotations

import math

from zo_core import kernels
from zo_core.kernels.resumable_pass import Pass, uninterrupted
from zo_core.parameters import Parameters, Params, parameters
from zo_core.seeds import check_seed


def perturb_(
    params: Params,
    seed: int,
    scale: float,
    *,
    distribution: str = "rademacher",
    threads: int | None = None,
) -> None:
    """Add scale * z(seed) to the weights in place; the weights are not checked.

    Adding the negated scale restores plain fp32 weights only nearly; on a grid
    (:func:`zo_core.snap_`) it restores them to the bit.  Extra memory stays below 1 MiB whatever
    the model's size.  An interrupt that comes meanwhile is raised after the pass.

    Args:
        params: a module, or an ordered list of floating buffers (torch tensors or NumPy arrays).
        seed: the direction's 64-bit seed, see :func:`zo_core.derive_seed`.
        scale: factor of z, finite.
        distribution: "rademacher", "gaussian" or "sphere" (norm sqrt(d)).
        threads: CPU threads for the pass; None for torch's number, or all cores.

    Raises:
        ValueError: nothing trainable, a seed or distribution that does not exist, or a scale that
            is not finite.

    >>> import numpy as np
    >>> weights = np.zeros(4, dtype=np.float32)
    >>> perturb_([weights], seed=1, scale=0.5)
    >>> weights.tolist()
    [0.5, 0.5, 0.5, 0.5]
    """
    perturb_many_(params, [(seed, scale)], distribution=distribution, threads=threads)


def perturb_many_(
    params: Params,
    terms: list[tuple[int, float]],
    *,
    distribution: str = "rademacher",
    threads: int | None = None,
) -> None:
    """Add several scaled directions in one pass, each weight taking them one after the other.

    Restoring one direction and starting the next is one such pass; its bits are those of two
    calls of :func:`perturb_`.

    Args:
        params: as in :func:`perturb_`.
        terms: (seed, scale) pairs in order.
        distribution: as in :func:`perturb_`.
        threads: as in :func:`perturb_`.

    Raises:
        ValueError: as in :func:`perturb_`.
    """
    uninterrupted(
        perturb_pass(parameters(params), terms, distribution=distribution, threads=threads)
    )


def perturb_pass(
    params: Parameters,
    terms: list[tuple[int, float]],
    *,
    distribution: str = "rademacher",
    threads: int | None = None,
) -> Pass[None]:
    """Prepare :func:`perturb_many_`; calling the result again finishes an interrupted pass.

    Raises:
        ValueError: as in :func:`perturb_`; no pass is made then.
    """
    checked = [(check_seed(seed), float(scale)) for seed, scale in terms]
    for _, scale in checked:
        if not math.isfinite(scale):
            raise ValueError(f"scale must be finite, got {scale}")
    return kernels.perturb_pass(params, checked, distribution, threads)
