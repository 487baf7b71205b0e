"""The fault matrix: each fault ends with the digest that the protocol promises for it.

That is the digest of the run that never saw the fault where nothing counts less, and of the run
with a client absent in the rounds where its update did not count.
"""

from __future__ import annotations

import errno
import random
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network import Network, Packet, Rules, plan_of, reference
from parabola import Parabola

from zo_core.federation import store as store_module
from zo_core.federation.log import RoundLog
from zo_core.federation.protocol import catch_up
from zo_core.federation.protocol.messages import Hello, Reason
from zo_core.federation.protocol.serving import plan_of as plan_in
from zo_core.federation.protocol.serving import replay_
from zo_core.federation.protocol.transfer import Chunk, Purpose
from zo_core.federation.store import FileStore, StoreError
from zo_core.payloads.core import Payload, RoundResult, ScalarUpdate
from zo_core.replica import Replica

pytestmark = pytest.mark.usefixtures("one_torch_thread")
PLAN = plan_of()
OpenStore = Callable[[Path], FileStore]


@cache
def whole() -> bytes:
    return reference(PLAN).digest()


def without(*absences: tuple[int, int]) -> bytes:
    """Digest of the run in which (round, slot) pairs sent nothing."""
    return reference(PLAN, lambda r, slot: (r, slot) in absences).digest()


def started(folder: Path, **options: Any) -> Network:
    network = Network(PLAN, folder, **options)
    network.join_all()
    return network


def holds(packet: Packet, kind: type, **fields: object) -> bool:
    message = Payload.decode(packet.body)
    return isinstance(message, kind) and all(getattr(message, k) == v for k, v in fields.items())


def test_a_run_without_faults_is_the_run_in_one_process(tmp_path: Path) -> None:
    network = started(tmp_path)
    network.run()
    assert network.digests() == {whole()}
    assert network.server.refused == {}
    assert [note.num_accepted for note in network.notes] == [2, 2] + [6] * 7


def test_local_steps_cross_the_network_as_in_one_process(tmp_path: Path) -> None:
    plan = plan_of(local_steps=2, zo_client_lr=0.02, zo_server_lr=1.0)
    assert plan.scalars == 2 * 3
    network = Network(plan, tmp_path)
    network.join_all()
    network.run()
    assert network.digests() == {reference(plan).digest()}
    assert network.server.refused == {}


def test_the_log_alone_gives_the_same_digest(tmp_path: Path, file_store: OpenStore) -> None:
    network = started(tmp_path, store=file_store(tmp_path / "log"))
    network.run()
    network.store.close()
    store = file_store(tmp_path / "log")
    plan = plan_in(store)
    replica = Replica(Parabola(9.0))
    replay_(plan, RoundLog.open(store, plan.context_of), replica)
    assert replica.digest() == whole()


# --- clients that die ----------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_client_killed_around_its_reply(tmp_path: Path, when: str) -> None:
    network = started(tmp_path)

    def before(name: str, order: Any) -> None:
        if when == "before" and (name, order.context.round_index) == ("c3", 5):
            network.kill("c3")

    network.before_compute = before
    if when == "after":
        network.run(until=lambda: 3 in network.server.arrived and network.server.next_round == 5)
        network.kill("c3")
    network.run()
    first = 5 if when == "before" else 6
    assert network.digests() == {without(*((r, 3) for r in range(first, 9)))}


def test_a_client_killed_in_the_middle_of_sending_its_model(tmp_path: Path) -> None:
    slot = PLAN.context_of(1).cohort[0]
    network = started(tmp_path)

    def cut_short(packet: Packet) -> Iterable[Packet]:
        half = holds(packet, Chunk, purpose=Purpose.UPDATE, round_index=1, slot=slot, index=1)
        return () if half else (packet,)

    network.fault = cut_short
    network.run(until=lambda: network.server.next_round == 1 and not network.queue)
    network.kill(f"c{slot}")
    network.run()
    assert network.digests() == {without(*((r, slot) for r in range(1, 9)))}


def test_a_model_crosses_once_however_long_a_fedavg_round_takes(tmp_path: Path) -> None:
    sent: list[Packet] = []
    network = started(tmp_path)
    held: list[Packet] = []

    def slow(packet: Packet) -> Iterable[Packet]:
        sent.append(packet)
        if network.now_s < 100 and holds(packet, Chunk, purpose=Purpose.UPDATE, index=1):
            held.append(packet)
            return ()
        return (packet,)

    network.fault = slow
    for _ in range(200):
        while network.queue:
            network.deliver(network.queue.popleft())
        network.pass_time(1.0)
        if network.now_s >= 100:
            network.queue.extend(held)
            held.clear()
    network.run()
    models = [p for p in sent if holds(p, Chunk, purpose=Purpose.MODEL, index=0)]
    updates = [p for p in sent if holds(p, Chunk, purpose=Purpose.UPDATE, index=0)]
    assert len(models) == len(updates) == 2 * 2  # two rounds of two clients
    assert network.digests() == {whole()}


def test_without_a_will_the_deadline_ends_the_round(tmp_path: Path) -> None:
    network = started(tmp_path)
    network.run(until=lambda: network.server.next_round == 4)
    network.kill("c2", will=False)
    network.run(idle_s=5.0)
    assert network.digests() == {without(*((r, 2) for r in range(4, 9)))}
    assert network.notes[-1].elapsed_s >= network.rules.deadline_s


def test_below_the_quorum_rounds_commit_empty_and_keep_their_numbers(tmp_path: Path) -> None:
    network = started(tmp_path)
    network.run(until=lambda: network.server.next_round == 4)
    for slot in range(4):
        network.kill(f"c{slot}", will=False)
    network.run(until=lambda: network.server.next_round == 6, idle_s=5.0)
    for slot in range(4):
        network.join(f"c{slot}")
    network.run(idle_s=5.0)
    empty = [note.round_index for note in network.notes if note.num_accepted == 0]
    assert empty[:2] == [4, 5]
    assert len({note.round_index for note in network.notes}) == len(network.notes) == PLAN.rounds
    assert network.digests() == {without(*((r, s) for r in empty for s in range(6)))}


# --- the server that dies ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_a_server_killed_at_a_random_instant_goes_on(
    tmp_path: Path, file_store: OpenStore, seed: int
) -> None:
    network = started(tmp_path, store=file_store(tmp_path / "log"))
    steps = random.Random(seed).randrange(1, 150)
    network.run(until=iter([False] * steps + [True] * 99).__next__)
    before = network.server.next_round
    network.store.close()  # as the kernel does for a dead process
    with (tmp_path / "log").open("ab") as file:
        file.write(random.Random(seed).randbytes(seed % 9))  # less than a record's head: torn
    network.restart_server(file_store(tmp_path / "log"))
    assert network.server.next_round == before
    network.run()
    assert network.digests() == {whole()}


def test_a_server_killed_between_log_and_send_sends_nothing_else(tmp_path: Path) -> None:
    network = started(tmp_path)
    network.run(until=lambda: network.server.next_round == 5)  # the result of 4 is logged ...
    lost = [p for p in network.queue if holds(p, RoundResult, round_index=4)]
    assert len(lost) == 6
    network.restart_server()  # ... and never arrives
    network.run()
    assert network.digests() == {whole()}


def test_disk_full_stops_the_server_and_leaves_the_log_whole(
    tmp_path: Path, file_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = started(tmp_path, store=file_store(tmp_path / "log"))
    network.run(until=lambda: network.server.next_round == 6)
    write = store_module._write_all

    def full(file: Any, at: int, data: bytes) -> None:
        file.seek(at)
        file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_module, "_write_all", full)
    with pytest.raises(StoreError, match="records before are intact: free some space"):
        network.run()
    assert not any(holds(p, RoundResult, round_index=6) for p in network.queue)
    monkeypatch.setattr(store_module, "_write_all", write)
    with pytest.raises(StoreError, match="took no record since"):
        network.store.append(4, b"more")
    network.store.close()
    network.restart_server(file_store(tmp_path / "log"))
    assert network.server.next_round == 6
    network.run()
    assert network.digests() == {whole()}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two pages."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_really_fills_up_loses_no_logged_round(
    tmp_path: Path, file_store: OpenStore, small_disk: Path
) -> None:
    plan = plan_of(rounds=80, zo_cohort=6)
    rules = Rules(wait_for=6, keep_rounds=True)
    network = Network(plan, tmp_path, rules=rules, store=file_store(small_disk / "log"))
    network.join_all()
    with pytest.raises(StoreError, match="No space left on device"):
        network.run()
    logged = network.server.log.next_round
    assert 10 < logged < 80
    network.store.close()
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    network.restart_server(file_store(small_disk / "log"))
    assert network.server.next_round == logged
    network.run()
    assert network.digests() == {reference(plan).digest()}


# --- the network ---------------------------------------------------------------------------------


def duplicated(packet: Packet) -> Iterable[Packet]:
    return (packet, packet)


def truncated(packet: Packet) -> Iterable[Packet]:
    return (Packet(to=packet.to, sender=packet.sender, body=packet.body[:-1]), packet)


def test_every_message_twice(tmp_path: Path) -> None:
    network = started(tmp_path, fault=duplicated)
    network.run()
    assert network.digests() == {whole()}
    assert set(network.server.refused) <= {Reason.DUPLICATE, Reason.STALE, Reason.TOO_OFTEN}


def test_every_message_cut_short_before_it_comes_whole(tmp_path: Path) -> None:
    network = started(tmp_path, fault=truncated)
    network.run()
    assert network.digests() == {whole()}
    assert network.server.refused[Reason.MALFORMED] > 40


@pytest.mark.parametrize("seed", range(2))
def test_messages_reordered(tmp_path: Path, seed: int) -> None:
    """Whatever is on its way arrives in any order; deadlines are far, so that all count."""
    network = started(tmp_path, rules=Rules(wait_for=6, deadline_s=1e6, warmup_deadline_s=1e6))
    shuffle = random.Random(seed).shuffle

    def until() -> bool:
        shuffle(network.queue)
        return False

    network.run(until=until)
    assert network.digests() == {whole()}


def test_an_update_delayed_past_the_deadline_is_stale(tmp_path: Path) -> None:
    late: list[Packet] = []
    network = started(tmp_path)

    def delay(packet: Packet) -> Iterable[Packet]:
        if holds(packet, ScalarUpdate, round_index=4, slot=1):
            late.append(packet)
            return ()
        if late and holds(packet, ScalarUpdate, round_index=6):
            return (late.pop(), packet)
        return (packet,)

    network.fault = delay
    network.run(idle_s=5.0)
    assert network.digests() == {without((4, 1))}
    assert set(network.server.refused) <= {Reason.STALE, Reason.DUPLICATE}
    assert network.server.refused[Reason.STALE] >= 1


@pytest.mark.parametrize("seed", range(3))
def test_lost_messages(tmp_path: Path, seed: int) -> None:
    """A fifth of everything is lost; who counted in each round is in the log."""
    network = Network(PLAN, tmp_path, rules=Rules(wait_for=6, resync_every_s=1.0))
    draw = random.Random(seed).random
    network.fault = lambda packet: () if draw() < 0.2 else (packet,)
    network.join_all()
    network.run(until=lambda: network.server.over is not None, idle_s=5.0)
    network.fault = lambda packet: (packet,)
    network.run(idle_s=5.0)
    assert len(network.digests()) == 1


def test_the_transport_down_for_an_hour_costs_no_client_its_round(tmp_path: Path) -> None:
    network = started(tmp_path)
    network.run(until=lambda: network.server.next_round == 4 and len(network.server.arrived) == 3)
    network.queue.clear()  # the broker dies with what it held
    network.server.cut_off(network.now_s)
    for _ in range(3600):
        network.pass_time(1.0)
        network.queue.clear()
    for name, client in network.clients.items():
        network.act(name, client.connected(network.now_s))
    network.act(None, network.server.reconnected(network.now_s))
    network.run()
    assert network.digests() == {whole()}


@pytest.mark.parametrize("jump_s", [-1e6, 1e6])
def test_a_clock_that_jumps_ends_no_round(tmp_path: Path, jump_s: float) -> None:
    network = started(tmp_path)
    network.run(until=lambda: len(network.server.arrived) == 1 and network.server.next_round == 5)
    network.now_s += jump_s
    network.run()
    assert network.digests() == {whole()}


# --- those who come late, or with other weights ---------------------------------------------------


@pytest.mark.parametrize("joins_at", [1, 2, 7])
def test_a_late_joiner_ends_at_everybodys_digest(tmp_path: Path, joins_at: int) -> None:
    network = Network(PLAN, tmp_path, rules=Rules(wait_for=5))
    missing = next(s for s in range(6) if s not in PLAN.schedule.high)
    for slot in set(range(6)) - {missing}:
        network.join(f"c{slot}")
    network.run(until=lambda: network.server.next_round == joins_at)
    late = network.join(f"c{missing}")
    network.run()
    counted = set(late.trainer.computed)
    absent = {(r, missing) for r in range(2, 9)} - {(r, missing) for r in counted}
    assert network.digests() == {without(*absent)}
    assert late.next_round == PLAN.rounds


def test_clients_that_were_there_before_the_server_join_at_its_roll_call(tmp_path: Path) -> None:
    network = Network(PLAN, tmp_path)
    network.fault = lambda packet: () if holds(packet, Hello) else (packet,)
    network.join_all()  # nobody hears their Hello
    network.fault = lambda packet: (packet,)
    network.restart_server()
    for _ in range(200):  # without a second going by
        if network.queue:
            network.deliver(network.queue.popleft())
    assert network.server.next_round > 2
    network.run()
    assert network.digests() == {whole()}


def test_one_joins_at_round_30_and_one_returns_after_missing_ten(tmp_path: Path) -> None:
    plan = plan_of(rounds=40)
    late, away = [slot for slot in range(6) if slot not in plan.schedule.high][:2]
    network = Network(plan, tmp_path, rules=Rules(wait_for=5))
    for slot in set(range(6)) - {late}:
        network.join(f"c{slot}")
    network.run(until=lambda: network.server.next_round == 12)
    gone = network.clients[f"c{away}"]
    network.kill(f"c{away}")
    network.run(until=lambda: network.server.next_round == 22)
    network.clients[f"c{away}"] = gone
    network.act(f"c{away}", gone.connected(network.now_s))
    network.run(until=lambda: network.server.next_round == 30)
    joined = network.join(f"c{late}")
    network.run()
    absent = {
        (r, slot)
        for slot, client in ((late, joined), (away, gone))
        for r in set(range(2, 40)) - set(client.trainer.computed)
    }
    assert {(r, late) for r in range(2, 30)} <= absent
    assert {(r, away) for r in range(13, 22)} <= absent
    assert len(absent) <= 28 + 10 + 4  # the rounds that were open when they came
    assert network.digests() == {reference(plan, lambda r, slot: (r, slot) in absent).digest()}


def test_one_that_returns_gets_what_is_fewer_bytes(tmp_path: Path) -> None:
    network = started(tmp_path)
    network.run(until=lambda: network.server.next_round == 3)
    away = network.clients["c0"]
    network.kill("c0")
    network.run(until=lambda: network.server.next_round == 5)
    sent: list[Packet] = []
    network.fault = lambda packet: (sent.append(packet), (packet,))[1]
    network.clients["c0"] = away
    network.act("c0", away.connected(network.now_s))
    network.run()
    blobs = [Payload.decode(p.body) for p in sent if p.to == "c0"]
    total = next(m.total for m in blobs if isinstance(m, Chunk))
    log = network.server.log
    snapshot = len(catch_up.pack([log.snapshot.encode()]))
    assert total == min(snapshot, total)
    assert len(network.digests()) == 1


@pytest.mark.parametrize("where", ["between rounds", "before computing", "before announcement"])
def test_tampered_weights_are_refused_and_resynchronised(tmp_path: Path, where: str) -> None:
    network = started(tmp_path)

    def tamper() -> None:
        with_torch = network.clients["c4"].replica.params.arrays[0]
        with_torch[3] += 2.0**-10

    if where == "before computing":
        done: list[int] = []

        def before(name: str, order: Any) -> None:
            if (name, order.context.round_index) == ("c4", 5) and not done:
                done.append(5)
                tamper()

        network.before_compute = before
    network.run(until=lambda: network.server.next_round == 5 and len(network.server.arrived) == 5)
    if where == "between rounds":
        tamper()
    if where == "before announcement":
        network.restart_server()
        tamper()
    network.run()
    assert network.server.refused[Reason.WRONG_DIGEST] >= 1
    assert network.digests() == {whole()}
    assert network.clients["c4"].events["caught up"] == 2


def test_a_fork_that_claims_the_right_round_never_enters_a_result(tmp_path: Path) -> None:
    network = started(tmp_path)

    def forge(packet: Packet) -> Iterable[Packet]:
        message = Payload.decode(packet.body)
        if isinstance(message, ScalarUpdate) and message.slot == 2:
            forged = ScalarUpdate(
                run_id=message.run_id,
                round_index=message.round_index,
                slot=2,
                digest=b"forkfork",
                differences=message.differences * 2,
            )
            return (Packet(to=None, sender=packet.sender, body=forged.encode()),)
        return (packet,)

    network.fault = forge
    network.run(idle_s=5.0)
    assert network.digests() == {without(*((r, 2) for r in range(2, 9)))}
    assert network.server.refused[Reason.WRONG_DIGEST] >= 7


def change(**fields: object) -> Callable[[ScalarUpdate], ScalarUpdate]:
    def changed(update: ScalarUpdate) -> ScalarUpdate:
        return replace(update, **fields)

    return changed


def scalars(update: ScalarUpdate, value: float, count: int = 3) -> ScalarUpdate:
    return change(differences=np.full(count, value, np.float32))(update)


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        (change(run_id=1), Reason.WRONG_RUN),
        (change(slot=0), Reason.WRONG_SLOT),
        (change(round_index=3), Reason.STALE),
        (change(round_index=6), Reason.NOT_OPEN),
        (lambda u: scalars(u, 11.0), Reason.OVER_CLIP),
        (lambda u: scalars(u, float("nan")), Reason.NOT_FINITE),
        (lambda u: scalars(u, 0.1, 2), Reason.WRONG_COUNT),
        (lambda u: scalars(u, 0.1, 0), Reason.WRONG_COUNT),
    ],
    ids=lambda value: value.name.lower() if isinstance(value, Reason) else "",
)
def test_what_must_not_count_is_refused_counted_and_changes_nothing(
    tmp_path: Path, forged: Callable[[ScalarUpdate], ScalarUpdate], reason: Reason
) -> None:
    network = started(tmp_path)

    def forge(packet: Packet) -> Iterable[Packet]:
        if not holds(packet, ScalarUpdate, round_index=5, slot=1):
            return (packet,)
        body = forged(Payload.decode(packet.body)).encode()
        return (Packet(to=None, sender=packet.sender, body=body), packet)

    network.fault = forge
    network.run()
    assert network.server.refused == {reason: 1}
    assert network.digests() == {whole()}


def test_strangers_and_those_without_a_slot_are_turned_away(tmp_path: Path) -> None:
    network = started(tmp_path)
    network.run(until=lambda: network.server.next_round == 5)
    update = next(p for p in network.queue if holds(p, ScalarUpdate) or True)
    network.act(None, network.server.receive("nobody", update.body, network.now_s))
    network.act(None, network.server.receive("../etc", b"", network.now_s))
    assert network.server.refused[Reason.UNKNOWN_CLIENT] == 2
    seventh = network.join("c3x", slot=3)
    wrong = Hello(run_id=77, round_index=0, flags=0).encode()
    network.act(None, network.server.receive("c1", wrong, network.now_s))
    network.run()
    assert network.server.refused[Reason.ROSTER_FULL] == 1
    assert network.server.refused[Reason.WRONG_RUN] == 1
    assert seventh.over is not None
    assert "ROSTER_FULL" in str(seventh.over.reason)
    assert network.clients["c1"].over.reason is not None  # told WRONG_RUN as well
    del network.clients["c3x"], network.clients["c1"]
    assert len(network.digests()) == 1


def test_a_diverging_step_stops_the_run_with_its_reason(tmp_path: Path) -> None:
    plan = plan_of(zo_server_lr=1e9)
    network = Network(plan, tmp_path)
    network.join_all()
    network.run(until=lambda: network.server.over is not None)
    assert "diverged in round 2" in str(network.server.over.reason)
    assert network.server.log.next_round == 2
