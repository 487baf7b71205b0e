"""Compressed up-links of FedAvg: fewer bytes, and all of backprop's memory.

| name | what is sent of the change x = w_k - w | bytes of P weights in T tensors |
|---|---|---|
| dense | the weights | 4 P |
| top-k | the 1 % of x that is largest in magnitude, with positions | 8 k |
| 8-bit | rne(x / s), s = max |x| / 127 of each tensor | P + 4 T |
| 1-bit | the sign, s = mean |x| of each tensor | P / 8 + 4 T |

What a message leaves out is kept and added to the client's next change (error feedback), without
which signs and sparse changes do not converge: Deep Gradient Compression (Lin et al., ICLR 2018,
arXiv 1712.01887) for top-k, 1-bit SGD (Seide et al., Interspeech 2014) and Karimireddy et al. (ICML
2019, arXiv 1901.09847) for signs.  Those compress each step's gradient, this a round's change;
DGC's momentum correction and clipping have no counterpart.  Buffers and the down-link are dense.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from zo_core.payloads.compressed import CodeBits, QuantisedChange, SparseChange
from zo_core.payloads.core import DenseWeights, Payload
from zo_core.payloads.fields import Floats
from zo_core.replica import Replica, gather
from zo_core.state import MethodState, state_as

UPLINKS = ("dense", "top-k", "8-bit", "1-bit")
TOP_SHARE = 0.01  # of the weights
_LARGEST_CODE = 127
Compressed = SparseChange | QuantisedChange


@dataclass(frozen=True)
class Residual(MethodState):
    """What a client kept back of its last change."""

    change: Floats  # (P,)


def compress_with_feedback_(name: str, replica: Replica, update: DenseWeights) -> Compressed:
    """Compress the change that a client's weights are, and keep what the message leaves out.

    Args:
        name: a name in UPLINKS other than "dense".
        replica: the round's weights; what this client keeps back stands in its
            ``client_states`` and changes.
        update: the client's weights and buffers.
    """
    size, slot = replica.params.num_elements, update.slot
    change = update.values[:size] - gather(replica.params.arrays)
    kept = state_as(Residual, replica.client_states.get(slot), (size,))
    wanted = change if kept is None else change + kept.change
    sizes = replica.params.sizes
    message = compress(name, wanted, sizes, replace(update, values=update.values[size:]))
    replica.client_states[slot] = Residual(wanted - change_of(message, sizes))
    return message


def decompressed(replica: Replica, update: Payload) -> DenseWeights:
    """Return a client's weights and buffers as its message gives them.

    Args:
        replica: the weights that the change was made from.
        update: a client's message; one that is not compressed is returned as it is.

    Raises:
        ValueError: the message is of another model.
    """
    if isinstance(update, DenseWeights):
        return update
    message = cast(Compressed, update)
    weights = gather(replica.params.arrays) + change_of(message, replica.params.sizes)
    return DenseWeights(
        run_id=message.run_id,
        round_index=message.round_index,
        slot=message.slot,
        samples=message.samples,
        values=np.concatenate([weights, message.buffers]),
    )


def compress(name: str, change: Floats, sizes: Sequence[int], rest: DenseWeights) -> Compressed:
    """Encode a change of the weights.

    Args:
        name: a name in UPLINKS other than "dense".
        change: (P,), in stream order.
        sizes: elements of each tensor.
        rest: who sends it in which round, and the buffers.
    """
    about: dict[str, Any] = {
        "run_id": rest.run_id,
        "round_index": rest.round_index,
        "slot": rest.slot,
        "samples": rest.samples,
        "buffers": rest.values,
    }
    if name == "top-k":
        positions = largest(change, math.ceil(TOP_SHARE * change.size))
        return SparseChange(
            **about, count=change.size, positions=positions, values=change[positions]
        )
    tensors = np.split(np.abs(change), np.cumsum(sizes)[:-1])
    if name == "8-bit":
        scales = np.array([t.max(initial=0.0) / _LARGEST_CODE for t in tensors], np.float32)
        steps = np.repeat(scales, sizes)
        codes = np.rint(np.divide(change, steps, out=np.zeros_like(change), where=steps > 0))
        return QuantisedChange(
            **about, bits=CodeBits.INTEGER, scales=scales, codes=codes.astype(np.int8)
        )
    scales = np.array([t.mean() if t.size else 0.0 for t in tensors], np.float32)
    signs = np.where(change >= 0, np.int8(1), np.int8(-1))
    return QuantisedChange(**about, bits=CodeBits.SIGN, scales=scales, codes=signs)


def change_of(message: Compressed, sizes: Sequence[int]) -> Floats:
    """Decode a change of the weights, (P,).

    Raises:
        ValueError: the message is of another model.
    """
    count = message.count if isinstance(message, SparseChange) else message.codes.size
    tensors = len(sizes) if isinstance(message, SparseChange) else message.scales.size
    if (count, tensors) != (sum(sizes), len(sizes)):
        raise ValueError(
            f"a change must be of {sum(sizes)} weights in {len(sizes)} tensors, got {count} in "
            f"{tensors}; both sides must build the same model"
        )
    if isinstance(message, SparseChange):
        change = np.zeros(count, np.float32)
        change[message.positions] = message.values
        return change
    return np.repeat(message.scales, sizes) * message.codes


def largest(change: Floats, count: int) -> npt.NDArray[np.uint32]:
    """Find the positions of the count largest magnitudes, ascending; of equal ones the first."""
    magnitudes = np.abs(change)
    least = np.partition(magnitudes, -count)[-count]
    above = np.flatnonzero(magnitudes > least)
    equal = np.flatnonzero(magnitudes == least)[: count - above.size]
    return np.sort(np.concatenate([above, equal])).astype(np.uint32)
