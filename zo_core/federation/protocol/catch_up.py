"""What brings a replica to the newest round: the log's tail or a snapshot, whichever is smaller.

A catch-up is a list of encoded payloads, each after its length: an optional Snapshot, then results.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import cast

from zo_core.federation.log import RoundLog
from zo_core.federation.protocol.messages import NO_DIGEST
from zo_core.federation.protocol.plan import Plan
from zo_core.payloads.core import DenseWeights, Payload, PayloadError, RoundResult, Snapshot
from zo_core.replica import ForkError, Replica

_LENGTH = struct.Struct("<Q")


def pack(bodies: Iterable[bytes]) -> bytes:
    """Join encoded payloads."""
    return b"".join(part for body in bodies for part in (_LENGTH.pack(len(body)), body))


def unpack(blob: bytes) -> Iterator[Payload]:
    """Take joined payloads apart.

    Raises:
        PayloadError: a length reaches beyond the end, or a payload is malformed.
    """
    at = 0
    while at < len(blob):
        end = at + _LENGTH.size
        (length,) = _LENGTH.unpack(blob[at:end]) if end <= len(blob) else (len(blob),)
        if end + length > len(blob):
            raise PayloadError("a catch-up is truncated")
        yield Payload.decode(blob[end : end + length])
        at = end + length


def prefers_tail(log: RoundLog, *, from_round: int | None, snapshot_bytes: int) -> bool:
    """Whether the log's tail brings a client up to date in no more bytes than a snapshot.

    Args:
        log: the run's.
        from_round: the client's next round, before which it has the run's weights; None where it
            does not, so that no replay can repair them.
        snapshot_bytes: of a packed snapshot of the state before the log's next round.
    """
    return from_round is not None and log.tail_bytes(from_round) + _LENGTH.size <= snapshot_bytes


def agrees(log: RoundLog, *, base: bytes, from_round: int, digest: bytes) -> bool | None:
    """Tell whether a digest is that of the run's weights before a round; None: nobody can tell.

    Args:
        log: the run's.
        base: the digest's first 8 bytes at the log's snapshot.
        from_round: a client's next round.
        digest: the first 8 bytes of what it holds.
    """
    if digest == NO_DIGEST or from_round < log.first_round:
        return None
    if from_round > log.next_round:
        return False
    if from_round == log.snapshot_round:
        return digest == base
    if from_round == log.first_round:  # the result that led there is no longer kept
        return None
    return digest == cast(RoundResult, log.result(from_round - 1)).digest


def apply_(replica: Replica, blob: bytes, plan: Plan, *, next_round: int) -> int:
    """Bring a replica up to date.

    Args:
        replica: holds the weights before next_round, or any where a snapshot comes first.
        blob: what :func:`choose` packed.
        plan: the run's.
        next_round: the first round whose result the replica lacks.

    Returns:
        The replica's next round.

    Raises:
        PayloadError: the catch-up is malformed, of another run, or leaves a gap.
        ForkError: its results do not lead from these weights to theirs.
    """
    for payload in unpack(blob):
        if payload.run_id != plan.run_id:
            raise PayloadError("a catch-up belongs to a different run")
        if payload.round_index < next_round and isinstance(payload, RoundResult):
            continue  # it came on its own meanwhile
        if isinstance(payload, Snapshot):
            restore_checked_(replica, payload, plan)
            next_round = payload.round_index
        elif isinstance(payload, RoundResult) and payload.round_index == next_round < plan.rounds:
            apply_result_(replica, payload, plan)
            next_round += 1
        else:
            raise PayloadError(f"a catch-up does not continue with round {next_round}")
    return next_round


def restore_checked_(replica: Replica, snapshot: Snapshot, plan: Plan) -> None:
    """Take over a snapshot.

    Raises:
        PayloadError: it is of another model or method; nothing has changed.
    """
    tensors = len(replica.params.arrays)
    if 4 * snapshot.state.size not in (0, plan.state_bytes(replica)):
        raise PayloadError("a snapshot has the state of a different method")
    if snapshot.values.size != replica.num_values or snapshot.exponents.size != tensors:
        raise PayloadError("a snapshot belongs to a different model")
    replica.restore_(snapshot)


def apply_result_(replica: Replica, result: RoundResult, plan: Plan) -> None:
    """Take the step of a round's result.

    Raises:
        PayloadError: it is of another cohort or number of directions; nothing has changed.
        ForkError: it does not lead to the server's weights.
    """
    context = plan.context_of(result.round_index)
    participants = int(result.participates.sum())
    expected = (len(context.cohort), (participants, plan.scalars), plan.encoding)
    if (result.participates.size, result.differences.shape, result.encoding) != expected:
        raise PayloadError("a result has a different cohort, encoding or number of directions")
    if result.losses.size != (participants if plan.sends_loss else 0):
        raise PayloadError("a result must have a loss of each participant if the step follows it")
    try:
        plan.method_at(result.round_index).apply_(replica, result, context)
    except ArithmeticError as error:  # the step leaves the grid: these are not the server's weights
        raise ForkError(str(error)) from error


def checked_model(body: bytes, plan: Plan) -> DenseWeights:
    """Decode the weights that a FedAvg round begins with.

    Raises:
        PayloadError: they are no weights of such a round of this run.
    """
    weights = Payload.decode(body)
    if not isinstance(weights, DenseWeights) or weights.run_id != plan.run_id:
        raise PayloadError("a model must be dense weights of this run")
    if weights.round_index >= plan.rounds or not plan.is_dense(weights.round_index):
        raise PayloadError(f"round {weights.round_index} is not a FedAvg round")
    return weights
