"""One federated round in one process: cohort, updates, result, and what crossed the link."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter

from zo_core.method import ApplyReport, ClientData, Method, RoundContext
from zo_core.payloads.core import Payload
from zo_core.replica import Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkBytes:
    """Bytes of one client's share of a round; zero where nothing crosses."""

    up_scalars: int  # what the paper counts, Payload.scalar_bytes
    up_payload: int  # the encoded body
    down_scalars: int
    down_payload: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRecord:
    """What one round did and cost."""

    round_index: int
    method: str
    cohort: tuple[int, ...]  # slots, ascending
    per_client: LinkBytes  # of a client that takes part; of the one that sends or gets most
    up_scalar_bytes: int  # of the whole cohort
    up_payload_bytes: int
    down_scalar_bytes: int  # of all receivers
    down_payload_bytes: int
    receivers: int  # clients that the down-link went to
    result: Payload
    report: ApplyReport  # what the step did to the weights


def run_round(
    method: Method,
    replica: Replica,
    client_data: Callable[[int], ClientData],
    context: RoundContext,
    *,
    roster_size: int,
) -> RoundRecord:
    """Run one round over a cohort; updates are folded as they come, never listed.

    Args:
        method: what clients and server compute.
        replica: the server's model; since every replica holds the same bits, it serves all clients.
        client_data: gives a slot's shard.
        context: run seed, round, cohort.
        roster_size: number of clients of the run.

    Returns:
        The round's record with the result that brings any other replica up to date.

    Raises:
        GridError: the step leaves the grid (diverged); the weights are those before the round.
        NonFiniteLossError: a client's loss was not finite; likewise.
    """
    sent: list[tuple[int, int]] = []  # (scalars, payload) bytes of each client
    result, report = method.server_result(
        replica, _updates(method, replica, client_data, context, sent), context
    )
    up_scalars, up_payload = max(sent, default=(0, 0), key=itemgetter(1))
    receivers = range(roster_size) if method.result_to_everyone else context.cohort
    received = [_sizes(method.message_for(replica, result, slot)) for slot in receivers]
    down_scalars, down_payload = max(received, default=(0, 0), key=itemgetter(1))
    return RoundRecord(
        round_index=context.round_index,
        method=method.name,
        cohort=context.cohort,
        per_client=LinkBytes(
            up_scalars=up_scalars,
            up_payload=up_payload,
            down_scalars=down_scalars,
            down_payload=down_payload,
        ),
        up_scalar_bytes=sum(scalars for scalars, _ in sent),
        up_payload_bytes=sum(payload for _, payload in sent),
        down_scalar_bytes=sum(scalars for scalars, _ in received),
        down_payload_bytes=sum(payload for _, payload in received),
        receivers=len(receivers),
        result=result,
        report=report,
    )


def _updates(
    method: Method,
    replica: Replica,
    client_data: Callable[[int], ClientData],
    context: RoundContext,
    sent: list[tuple[int, int]],
) -> Iterator[Payload]:
    for slot in context.cohort:
        update = method.client_update(replica, client_data(slot), context)
        sent.append(_sizes(update))
        yield update


def _sizes(payload: Payload) -> tuple[int, int]:
    """Scalars and payload, bytes."""
    return payload.scalar_bytes, payload.num_bytes
