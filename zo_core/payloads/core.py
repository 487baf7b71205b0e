"""The payloads of ZOWarmUp and FedAvg, and all names that other packages import."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from zo_core.payloads.compressed import SparseChange
from zo_core.payloads.encoding import PAYLOAD_VERSION, Payload, payload
from zo_core.payloads.fields import (
    DIGEST_PREFIX_BYTES,
    U32,
    Array,
    Choice,
    DigestPrefix,
    Float,
    Floats,
    SizedArray,
)
from zo_core.payloads.methods import (
    MAX_CANDIDATES,
    ElasticUpdate,
    MixedResult,
    SeedPool,
    SubModel,
)
from zo_core.payloads.reader import NotFiniteError, PayloadError
from zo_core.payloads.scalars import ScalarEncoding, Scalars

__all__ = [
    "DIGEST_PREFIX_BYTES",
    "MAX_CANDIDATES",
    "PAYLOAD_VERSION",
    "DenseWeights",
    "ElasticUpdate",
    "MixedResult",
    "NotFiniteError",
    "Payload",
    "PayloadError",
    "RoundResult",
    "ScalarUpdate",
    "SeedPool",
    "Snapshot",
    "SparseChange",
    "SubModel",
]


@payload(kind=1)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DenseWeights(Payload):
    """A whole model as floats: phase one's up-link (a client's result) and down-link."""

    slot: U32  # client slot; 0 on the down-link
    samples: U32  # n_k, the client's training samples; 0 on the down-link
    # (count,): trainable weights in stream order, then buffers
    values: Annotated[Floats, Array(np.float32, "Q", counted=True)]


Encoding = Annotated[ScalarEncoding, Choice(ScalarEncoding)]


@payload(kind=2, without=("encoding", "loss"))
@payload(kind=12, without=("loss",))
@payload(kind=18)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScalarUpdate(Payload):
    """UPDATE: a client's S scalars, bound to the weights that they were computed on."""

    slot: U32  # client slot
    digest: DigestPrefix  # of the weights perturbed
    encoding: Encoding = ScalarEncoding.FLOAT32
    # mean of the client's losses, a float32 value; None where the step does not depend on it
    loss: Annotated[float | None, Float()] = None
    differences: Annotated[Floats, Scalars("H")]  # (S,): dL of each z

    @property
    def has_loss(self) -> bool:
        """Whether the client sends its loss."""
        return self.loss is not None

    @property
    def kind(self) -> int:
        """2; 12 with an encoding of fewer bytes, for which float32 has no byte; 18 with a loss."""
        if self.loss is not None:
            return 18
        return 12 if self.encoding else 2


def _participants(known: Any) -> int:
    return int(known.participates.sum())


@payload(kind=3, without=("encoding", "losses"))
@payload(kind=13, without=("losses",))
@payload(kind=19)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoundResult(Payload):
    """RESULT: which clients of the derived cohort count, and their scalars: all of the step."""

    digest: DigestPrefix  # of the resulting weights
    # (cohort,), in ascending slot order
    participates: Annotated[npt.NDArray[np.bool_], Array(np.bool_, "I")]
    encoding: Encoding = ScalarEncoding.FLOAT32
    # (participants,), in ascending slot order; empty where the step does not depend on them
    losses: Annotated[Floats, Array(np.float32, _participants, counted=True)] = field(
        default_factory=lambda: np.empty(0, np.float32)
    )
    # (participants, S), in ascending slot order
    differences: Annotated[Floats, Scalars(_participants, "H")]

    @property
    def kind(self) -> int:
        """3; 13 with an encoding of fewer bytes; 19 with losses."""
        if self.losses.size:
            return 19
        return 13 if self.encoding else 3


@payload(kind=4, without=("state",))
@payload(kind=5)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot(Payload):
    """The model at hand-over or for a catch-up: grid exponents, weights, all other state."""

    exponents: Annotated[npt.NDArray[np.int32], Array(np.int32, "I")]  # (tensors,); none: plain
    # (count,): weights in stream order, frozen parameters, buffers
    values: Annotated[Floats, Array(np.float32, "Q", counted=True)]
    # of the method, flat
    state: Annotated[Floats, SizedArray()] = field(default_factory=lambda: np.empty(0, np.float32))

    @property
    def kind(self) -> int:
        """4, or 5 with a method's state, for which all other snapshots have no byte."""
        return 5 if self.state.size else 4
