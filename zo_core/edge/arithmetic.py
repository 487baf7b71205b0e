"""The arithmetic of a client without torch: what its session uses, and whether its scalars survive.

Zeroth-order scalars are differences of nearly equal losses; products in bfloat16 lose them.  The
session's own answers are recorded, and its dL is compared with the exported model's reference.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from zo_core.edge.manifest import Manifest
from zo_core.edge.onnx_loss import OnnxForward
from zo_core.edge.reference import Reference, reference_batch
from zo_core.edge.session_arithmetic import SessionArithmetic
from zo_core.loss.noise import MAX_NOISE, PrecisionError, ScalarNoise, relative_noise
from zo_core.replica import Replica
from zo_core.spsa import NonFiniteLossError, loss_differences

_OLD = "the exported model has no reference scalars; export it again"
_FLAT = "the loss does not change along these directions"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardArithmetic(SessionArithmetic):
    """How a client without torch computes its forward."""

    scalar_noise: ScalarNoise

    def check(self) -> None:
        """Refuse an arithmetic that loses the scalars.

        Raises:
            PrecisionError: it does.
        """
        noise = self.scalar_noise.relative_rms
        if noise is not None and not noise <= MAX_NOISE:
            raise PrecisionError(
                f"scalars must have a noise of at most {MAX_NOISE:.0%} RMS of dL against float64, "
                f"got {noise:.0%} with {self.words}; install another version of onnxruntime, or "
                "use torch"
            )

    @property
    def words(self) -> str:
        """Name library, providers and kernels, for people."""
        extra = ["bfloat16 products"] * self.bfloat16_products + ["KleidiAI"] * self.kleidiai
        return ", ".join([self.library, *self.providers, *extra])

    @property
    def summary(self) -> str:
        """Say how the client computes, and what that adds to its scalars."""
        noise = self.scalar_noise
        if noise.relative_rms is None:
            return f"forwards by {self.words}; scalars not compared: {noise.reason}"
        return (
            f"forwards by {self.words}; scalars are within {100 * noise.relative_rms:.2g} % RMS of"
            f" float64's over {noise.directions} directions"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)


def measure_arithmetic(
    replica: Replica, manifest: Manifest, *, micro_batch: int | None = None
) -> ForwardArithmetic:
    """Ask a client's session for its arithmetic, and compare its scalars with the reference.

    The weights are perturbed in place and restored to the bit.

    Args:
        replica: from load_replica, at the exported weights.
        manifest: the exported model's.
        micro_batch: items a forward.

    Raises:
        PrecisionError: a loss is not finite, where float64's is.
        ValueError: the replica is not at the exported weights.
    """
    if replica.digest().hex() != manifest.digest:
        raise ValueError("replica must be at the exported weights: load it again")
    assert isinstance(replica.forward, OnnxForward)
    session = replica.forward.session_arithmetic()
    noise = _noise(replica, manifest, session.library, micro_batch)
    return ForwardArithmetic(**asdict(session), scalar_noise=noise)


def _noise(
    replica: Replica, manifest: Manifest, library: str, micro_batch: int | None
) -> ScalarNoise:
    reference = manifest.reference
    if reference is None or not reference.differences:
        reason = _OLD if reference is None else reference.reason
        return ScalarNoise(
            precision=library,
            directions=0,
            repeat_difference=0.0,
            relative_rms=None,
            reason=reason,
            items=0,
        )
    found, repeat = _scalars(replica, manifest, reference, micro_batch)
    relative, scale = relative_noise(found, reference.differences)
    return ScalarNoise(
        precision=library,
        directions=len(found),
        repeat_difference=repeat,
        relative_rms=relative,
        scale=scale,
        reason=_FLAT if relative is None else None,
        items=reference.items,
    )


def _scalars(
    replica: Replica, manifest: Manifest, reference: Reference, micro_batch: int | None
) -> tuple[list[float], float]:
    """Return dL along the reference's directions, and the difference of one loss taken twice."""
    x, y = reference_batch(manifest.input_shape, manifest.num_classes, reference.items)

    def loss() -> float:
        return replica.mean_loss(x, y, micro_batch=micro_batch)

    first, second = loss(), loss()
    try:
        found = loss_differences(
            loss, replica.params, reference.seeds, epsilon=reference.epsilon, grid=replica.grid
        )
    except NonFiniteLossError as error:
        raise PrecisionError(f"{error}, where a float64 forward's is finite") from error
    return found.astype(np.float64).tolist(), abs(second - first)
