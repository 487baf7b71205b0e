"""The log compacted into a snapshot: bounded on disk, whole whenever it is killed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from network import Network, Packet, Rules, plan_of, reference
from parabola import Parabola

from zo_core.federation import log as log_module
from zo_core.federation import store as store_module
from zo_core.federation.log import RoundLog
from zo_core.federation.protocol import catch_up
from zo_core.federation.protocol.messages import Resync
from zo_core.federation.store import FileStore, MemoryStore
from zo_core.payloads.core import Payload, Snapshot
from zo_core.replica import Replica

pytestmark = pytest.mark.usefixtures("one_torch_thread")
OpenStore = Callable[[Path], FileStore]
# one client a round and one scalar: two results are fewer bytes than a snapshot, five are not
PLAN = plan_of(rounds=20, zo_cohort=1, directions=1)


def started(folder: Path, **options: Any) -> Network:
    network = Network(PLAN, folder, **options)
    network.join_all()
    return network


def test_a_long_run_leaves_a_short_log_and_the_same_digest(
    tmp_path: Path, file_store: OpenStore
) -> None:
    network = started(tmp_path, store=file_store(tmp_path / "log"))
    network.run()
    log = network.server.log
    assert network.digests() == {reference(PLAN).digest()}
    assert log.snapshot_round > PLAN.rounds - 8
    assert log.first_round <= log.snapshot_round - 2
    assert log.tail_bytes(log.first_round) <= 2 * log.snapshot_bytes
    network.store.close()
    network.restart_server(file_store(tmp_path / "log"))
    assert network.server.replica.digest() == reference(PLAN).digest()


def test_a_log_that_is_to_keep_its_rounds_does(tmp_path: Path) -> None:
    network = started(tmp_path, rules=Rules(wait_for=6, keep_rounds=True))
    network.run()
    assert (network.server.log.first_round, network.server.log.snapshot_round) == (2, 2)


def test_a_log_of_few_bytes_is_not_compacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "SMALL_BYTES", 1 << 16)
    network = started(tmp_path)
    network.run()
    assert (network.server.log.first_round, network.server.log.snapshot_round) == (2, 2)


@pytest.mark.parametrize("missed", [1, 2, 3, 10])
def test_who_was_away_gets_what_is_fewer_bytes_whatever_was_compacted(
    tmp_path: Path, missed: int
) -> None:
    network = started(tmp_path)
    leaves = 9
    network.run(until=lambda: network.clients["c0"].next_round == leaves)
    away, log = network.clients["c0"], network.server.log
    network.kill("c0")
    network.run(until=lambda: network.server.next_round == leaves + missed)
    sent: list[Resync] = []

    def noted(packet: Packet) -> Iterable[Packet]:
        message = Payload.decode(packet.body)
        if isinstance(message, Resync):
            sent.append(message)
        return (packet,)

    network.fault = noted
    network.clients["c0"] = away
    network.act("c0", away.connected(network.now_s))
    network.run(until=lambda: bool(sent))
    snapshot = len(catch_up.pack([log.snapshot.encode()]))
    result = len(catch_up.pack(log.tail(log.next_round - 1)))
    assert sent[0].total == min(snapshot, (sent[0].round_index - leaves) * result)
    network.run()
    assert len(network.digests()) == 1


@pytest.mark.parametrize("call", ["before the write", "before the move", "after the move"])
def test_killed_while_it_is_compacted_the_log_is_that_of_before_or_after(
    tmp_path: Path, file_store: OpenStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    class Killed(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Killed

    network = started(tmp_path, store=file_store(tmp_path / "log"))
    network.run(until=lambda: network.server.next_round == 6)
    replace = Path.replace
    with monkeypatch.context() as patch:
        if call == "before the write":
            patch.setattr(store_module, "_write_file", dies)
        elif call == "before the move":
            patch.setattr(Path, "replace", dies)
        else:
            patch.setattr(Path, "replace", lambda a, b: (replace(a, b), dies())[1])
        with pytest.raises(Killed):
            network.run()
    logged = network.server.next_round
    network.store.close()  # as the kernel does for a dead process
    network.restart_server(file_store(tmp_path / "log"))
    assert network.server.next_round == logged
    network.run()
    assert network.digests() == {reference(PLAN).digest()}


def test_a_snapshot_of_another_round_is_no_compaction() -> None:
    replica = Replica(Parabola())
    first = replica.hand_over_(run_id=0, round_index=2)
    log = RoundLog(first, PLAN.context_of, store=MemoryStore())
    late = replica.snapshot(run_id=0, round_index=3)
    with pytest.raises(ValueError, match="next round is 2, got a snapshot of 3"):
        log.compact_(late)
    assert isinstance(log.snapshot, Snapshot)
    assert log.next_round == 2
