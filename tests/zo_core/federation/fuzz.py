"""Mutated messages against the decoder and the server; also a program: ``fuzz.py 100000 1``.

The server is in the middle of a run.  No message may crash it or change the model, except a whole,
valid update of the very round, which a mutation hardly ever makes; those are not sent on.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from network import Network, plan_of

from zo_core.payloads.core import Payload, PayloadError, ScalarUpdate


def corpus(folder: Path, round_index: int) -> tuple[Network, list[bytes]]:
    """A server with a round open and half of its updates there; all messages up to then."""
    network, seen = Network(plan_of(), folder), []
    network.fault = lambda packet: (seen.append(packet.body), (packet,))[1]
    network.join_all()
    here = len(network.plan.context_of(round_index).cohort) // 2

    def half() -> bool:
        server = network.server
        return server.next_round == round_index and len(server.arrived) == here

    network.run(until=half)
    return network, seen


def mutated(body: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """Flip, cut, repeat, splice, or set fields to extremes."""
    data = bytearray(body)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        at = draw.randrange(len(data) + 1)
        match draw.randrange(7):
            case 0 if data:
                data[at % len(data)] ^= 1 << draw.randrange(8)
            case 1:
                del data[at:]
            case 2:
                data[at:at] = draw.randbytes(draw.randrange(1, 9))
            case 3:
                other = draw.choice(others)
                data[at:] = other[draw.randrange(len(other)) :]
            case 4:
                width = draw.choice((1, 2, 4, 8))
                value = draw.choice((0, 1, (1 << 8 * width) - 1, 1 << (8 * width - 1)))
                data[at : at + width] = value.to_bytes(width, "little")
            case 5:
                data += data[at:] * draw.randrange(3)
            case 6 if len(data) > 3:
                data[3] = draw.randrange(64)  # another kind
    return bytes(data)


def counts(network: Network, sender: str, body: bytes) -> bool:
    """Whether the protocol lets this message count: well-formed and of this round."""
    try:
        message = Payload.decode(body)
    except PayloadError:
        return False
    open_round = message.round_index == network.server.next_round
    ours = message.run_id == network.plan.run_id and open_round
    return (
        ours
        and isinstance(message, ScalarUpdate)
        and message.slot == network.server.log.roster.get(sender)
    )


def fuzz(messages: int, seed: int, folder: Path, *, round_index: int = 5) -> dict[str, float]:
    """Send mutated messages while a round is open; 1 is one of FedAvg, 5 of ZO.

    Raises:
        AssertionError: the model or the log has changed.
    """
    network, seen = corpus(folder, round_index)
    genuine = set(seen)
    server, draw = network.server, random.Random(seed)
    senders = [*network.clients, "stranger", "", "c0/../x"]
    before = server.replica.digest(), server.next_round, len(server.log.roster)
    decoded, longest_s = 0, 0.0
    tracemalloc.start()
    for _ in range(messages):
        sender, body = draw.choice(senders), mutated(draw.choice(seen), seen, draw)
        if body in genuine or counts(network, sender, body):
            continue
        started = time.thread_time()
        try:
            Payload.decode(body)
            decoded += 1
        except PayloadError:
            pass
        for action in server.receive(sender, body, network.now_s):
            for _ in action.bodies():  # what a driver would send
                pass
        longest_s = max(longest_s, time.thread_time() - started)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    server.replica.invalidate_digest()
    enrolled = len(server.log.roster) - before[2]
    assert (server.replica.digest(), server.next_round) == before[:2], "the model has changed"
    assert len(server.log.roster) <= network.plan.config.clients
    return {
        "messages": messages,
        "decoded": decoded,
        "refused": sum(server.refused.values()),
        "kinds of refusal": len(server.refused),
        "enrolled": enrolled,
        "longest_ms": 1e3 * longest_s,
        "peak_kib": peak / 1024,
        "maxrss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **{reason.name: float(n) for reason, n in sorted(server.refused.items())},
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        for index in (1, 5):
            outcome = fuzz(int(sys.argv[1]), int(sys.argv[2]), Path(name), round_index=index)
            print(f"round {index}")
            for key, value in outcome.items():
                print(f"{key:>20} {value:,.1f}")
