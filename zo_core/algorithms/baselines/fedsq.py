"""FedSQ (Long et al., "FedSQ: Sparse-Quantized Federated Learning for Communication Efficiency",
IEEE Transactions on Consumer Electronics 70(1), 2024): a client sends the largest of each tensor's
change in a few bits, and keeps the error of both for its next change.

With one bit for all weights it is signs times a mean with error feedback (Karimireddy et al., ICML
2019, arXiv 1901.09847); with eight bits for all of them, plain quantisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, cast

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.baselines.change_averaging import (
    ChangeAveraging,
    Residual,
    largest_of_tensors,
    require_size,
)
from zo_core.algorithms.methods.fedavg import FedAvgOptions, local_sgd_fields
from zo_core.algorithms.steps.phases import one_phase
from zo_core.config import TrainConfig
from zo_core.cost_model import FLOAT_BYTES
from zo_core.method import Algorithm, RoundContext
from zo_core.options import count, share
from zo_core.payloads.core import DenseWeights, Payload
from zo_core.payloads.encoding import payload
from zo_core.payloads.fields import U32, Array, Encoded, Field, Floats
from zo_core.payloads.reader import PayloadError, Reader, array_bytes
from zo_core.replica import Replica
from zo_core.state import state_as

Codes = npt.NDArray[np.int8]
MAX_BITS = 8


class PackedCodes(Field):
    """Codes in [-limit, limit] after the header, each in the bits that the payload names."""

    def __init__(self) -> None:
        super().__init__("Q", counted=True)

    def encode(self, value: Codes, known: Any) -> Encoded:
        """Return the number of codes, and the codes."""
        shifted = (value.astype(np.int16) + limit_of(known.bits)).astype(np.uint8)
        if known.bits == 1:  # -1 and 1
            shifted //= 2
        planes = np.unpackbits(shifted[:, None], axis=1, count=known.bits, bitorder="little")
        return (value.size,), (array_bytes(planes.reshape(-1), np.bool_),)

    def decode(self, numbers: Iterator[int], reader: Reader, known: Any) -> Codes:
        """Return the codes."""
        if not 1 <= known.bits <= MAX_BITS:
            raise PayloadError(f"bits must be in [1, {MAX_BITS}], got {known.bits}")
        planes = reader.array(next(numbers) * known.bits, np.bool_).reshape(-1, known.bits)
        shifted = np.packbits(planes, axis=1, bitorder="little").reshape(-1).astype(np.int16)
        if known.bits == 1:
            shifted *= 2
        return (shifted - limit_of(known.bits)).astype(np.int8)


def limit_of(bits: int) -> int:
    """Return the largest code of a number of bits."""
    return max(1, (1 << (bits - 1)) - 1)


@payload(kind=14)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SparseCodes(Payload):
    """Some of a change of the weights in a few bits each, and all buffers; the rest is 0."""

    slot: U32  # client slot
    samples: U32  # n_k, the client's training samples
    # (P,): which weights have a code; empty for all
    sent: Annotated[npt.NDArray[np.bool_], Array(np.bool_, "Q", counted=True)]
    scales: Annotated[Floats, Array(np.float32, "I", counted=True)]  # (T,)
    bits: Annotated[int, Field("B")]
    codes: Annotated[Codes, PackedCodes()]  # (sent,): multiples of the tensor's scale
    # as they are after the client's training
    buffers: Annotated[Floats, Array(np.float32, "I", counted=True)]

    def require_consistent(self) -> None:
        """Refuse another number of codes than of weights that are sent."""
        if self.sent.size and int(self.sent.sum()) != self.codes.size:
            raise PayloadError(
                f"{int(self.sent.sum())} weights are sent in {self.codes.size} codes"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FedSQ(ChangeAveraging):
    """Top-k of each tensor, quantised, with error feedback on the client."""

    bits: int
    sent_share: float  # of each tensor's elements, in (0, 1]
    name: str = "fedsq"

    def encoded_(
        self, replica: Replica, change: Floats, trained: DenseWeights, context: RoundContext
    ) -> SparseCodes:
        """Send the largest of the change and of what was kept back; keep the error."""
        size, slot, sizes = change.size, trained.slot, replica.params.sizes
        kept = state_as(Residual, replica.client_states.get(slot), (size,))
        wanted = change if kept is None else change + kept.change
        sent = np.zeros(size, np.bool_)
        sent[largest_of_tensors(wanted, sizes, self.sent_share)] = True
        scales = [self._scale(w[s]) for w, s in zip(*_tensors(sizes, wanted, sent), strict=True)]
        steps = np.repeat(np.array(scales, np.float32), sizes)
        update = SparseCodes(
            run_id=trained.run_id,
            round_index=trained.round_index,
            slot=slot,
            samples=trained.samples,
            sent=sent if not sent.all() else np.empty(0, np.bool_),
            scales=np.array(scales, np.float32),
            bits=self.bits,
            codes=self._codes(wanted[sent], steps[sent]),
            buffers=trained.values[size:],
        )
        replica.client_states[slot] = Residual(wanted - self.change_of(replica, update))
        return update

    def change_of(self, replica: Replica, update: Payload) -> Floats:
        """Decode the codes into zeros, (P,)."""
        coded = cast(SparseCodes, update)
        require_size(coded.sent.size or coded.codes.size, replica)
        steps = np.repeat(coded.scales, replica.params.sizes)
        change = np.zeros(steps.size, np.float32)
        sent = coded.sent if coded.sent.size else slice(None)
        change[sent] = steps[sent] * coded.codes
        return change

    def client_state_bytes(self, replica: Replica) -> int:
        """Bytes that a client keeps between rounds: the error of its last message."""
        return FLOAT_BYTES * replica.params.num_elements

    def _scale(self, values: Floats) -> float:
        """Return the step of a tensor's codes: a mean for signs, else of the largest."""
        magnitudes = np.abs(values)
        if self.bits == 1:
            return float(magnitudes.mean()) if values.size else 0.0
        return float(magnitudes.max(initial=0.0)) / limit_of(self.bits)

    def _codes(self, values: Floats, steps: Floats) -> Codes:
        if self.bits == 1:
            return np.where(values >= 0, np.int8(1), np.int8(-1))
        codes = np.divide(values, steps, out=np.zeros_like(values), where=steps > 0)
        limit = limit_of(self.bits)
        return np.clip(np.rint(codes), -limit, limit).astype(np.int8)


def _tensors(sizes: tuple[int, ...], *flat: npt.NDArray[Any]) -> Iterator[list[npt.NDArray[Any]]]:
    ends = np.cumsum(sizes)[:-1]
    return (np.split(values, ends) for values in flat)


@dataclass(frozen=True, kw_only=True)
class FedSQOptions(FedAvgOptions):
    """FedSQ"""

    code_bits: int = count(8, "bits of a sent weight's code", most=MAX_BITS)  # ours
    unsent_share: float = share(0.9, "share of a tensor that is not sent", zero=True)  # ours


def fedsq(config: TrainConfig, options: FedSQOptions, high: tuple[int, ...]) -> Algorithm:
    """FedSQ: clients send the largest tenth of a change in 8 bits, and keep the error."""
    method = FedSQ(
        **local_sgd_fields(config, options),
        server_lr=options.server_lr,
        bits=options.code_bits,
        sent_share=1.0 - options.unsent_share,
    )
    return one_phase(method, config, tuple(range(config.clients)))
