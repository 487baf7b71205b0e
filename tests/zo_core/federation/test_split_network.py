"""Split directions over a network: each variant ends with the digest of the run in one process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network import ITEMS, Network, plan_of, reference

from zo_core.federation.protocol.catch_up import apply_result_
from zo_core.federation.protocol.messages import Reason
from zo_core.federation.protocol.plan import PlanError
from zo_core.federation.protocol.trainers import OnnxTrainer
from zo_core.payloads.core import Payload, PayloadError, RoundResult, ScalarUpdate
from zo_core.payloads.scalars import ScalarEncoding

pytestmark = pytest.mark.usefixtures("one_torch_thread")
ALL: dict[str, Any] = {
    "splits": 2,
    "scalars": "sign",
    "zo_schedule": "cosine",
    "second_moment": 0.9,
    "clip_quantile": 0.8,
    "tail": 4,
    "zo_server_lr": 0.02,
    "zo_step_length": "adaptive",
}
VARIANTS = pytest.mark.parametrize(
    "options",
    [
        *({"splits": 4}, {"splits": 2, "scalars": "float16"}, {"splits": 2, "tail": 3}),
        *({"splits": 2, "zo_step_length": "adaptive"}, ALL),
    ],
    ids=["split", "float16", "tail", "adaptive", "all"],
)


def run(folder: Path, **options: Any) -> Network:
    network = Network(plan_of("zowarmup-split", **options), folder)
    network.join_all()
    return network


@VARIANTS
def test_it_is_the_run_in_one_process(tmp_path: Path, options: dict[str, Any]) -> None:
    network = run(tmp_path, **options)
    network.run()
    assert network.digests() == {reference(network.plan).digest()}
    assert network.server.refused == {}


@VARIANTS
@pytest.mark.parametrize("round_index", [3, 8])
def test_a_server_killed_and_a_late_joiner_end_alike(
    tmp_path: Path, options: dict[str, Any], round_index: int
) -> None:
    """The second moment and the lists of the tail are in log and snapshot."""
    network = run(tmp_path, **options)
    network.run(lambda: network.server.next_round == round_index)
    network.restart_server()
    network.kill("c1")
    network.join("c1")
    network.run()
    assert network.digests() == {reference(network.plan).digest()}


def test_a_snapshot_alone_carries_the_tail(tmp_path: Path) -> None:
    """GIVEN a log that was compacted, WHEN a client joins, THEN it has the lists of before."""
    network = run(tmp_path, **ALL)
    network.run(lambda: network.server.next_round == 7)
    server = network.server
    snapshot = server.replica.snapshot(run_id=server.plan.run_id, round_index=7)
    assert 4 * snapshot.state.size == server.plan.state_bytes(server.replica) > 0
    server.log.compact_(snapshot)
    server._base = server.replica.digest_prefix()
    network.kill("c2")
    network.join("c2")
    network.run()
    assert network.digests() == {reference(network.plan).digest()}


def assert_refused(network: Network, **changes: Any) -> None:
    """A client whose updates are changed on their way is refused, as if it had sent none."""

    def changed(packet: Any) -> Any:
        message = Payload.decode(packet.body)
        if packet.sender == "c3" and isinstance(message, ScalarUpdate):
            return (replace(packet, body=replace(message, **changes).encode()),)
        return (packet,)

    network.fault = changed
    network.run()
    assert set(network.server.refused) == {Reason.MALFORMED}
    plan = network.plan
    absent = reference(plan, lambda r, slot: slot == 3 and not plan.is_dense(r))
    assert network.server.replica.digest() == absent.digest()


def test_scalars_in_another_encoding_are_refused(tmp_path: Path) -> None:
    network = run(tmp_path, splits=2, scalars="sign")
    assert_refused(network, encoding=ScalarEncoding.FLOAT32)


@pytest.mark.parametrize("adaptive", [False, True])
def test_an_update_with_a_loss_too_many_or_too_few_is_refused(
    tmp_path: Path, adaptive: bool
) -> None:
    network = run(tmp_path, splits=2, zo_step_length="adaptive" if adaptive else "constant")
    assert_refused(network, loss=None if adaptive else 0.5)


def test_a_client_refuses_a_result_with_a_loss_too_few(tmp_path: Path) -> None:
    plan = plan_of("zowarmup-split", splits=2, zo_step_length="adaptive")
    replica = reference(plan)
    before = replica.digest()
    slots = len(plan.context_of(5).cohort)
    result = RoundResult(
        run_id=plan.run_id,
        round_index=5,
        digest=bytes(8),
        participates=np.ones(slots, np.bool_),
        differences=np.zeros((slots, plan.scalars), np.float32),
    )
    with pytest.raises(PayloadError, match="loss"):
        apply_result_(replica, result, plan)
    assert replica.digest() == before


def test_signs_cross_in_as_many_bytes_as_counted(tmp_path: Path) -> None:
    network = run(tmp_path, splits=4, scalars="sign", directions=5)
    sizes: set[int] = set()

    def note(packet: Any) -> Any:
        message = Payload.decode(packet.body)
        if isinstance(message, ScalarUpdate):
            sizes.add(message.scalar_bytes)
        if isinstance(message, RoundResult):
            sizes.add(message.scalar_bytes // len(message.differences))
        return (packet,)

    network.fault = note
    network.run()
    assert sizes == {4 + 3}  # a scale, and 20 bits


def test_more_parts_than_items_are_refused_at_the_start() -> None:
    with pytest.raises(PlanError, match=f"at least 5 training items.*got {ITEMS}; lower splits"):
        plan_of("zowarmup-split", splits=5)


def test_a_client_without_torch_refuses_a_loss_that_its_graph_lacks(tmp_path: Path) -> None:
    plan = plan_of("zowarmup-split", splits=2, balanced=True)
    with pytest.raises(ValueError, match="balanced must be False for a client without torch"):
        OnnxTrainer(tmp_path).join(plan, 0)


def test_an_empty_last_round_still_averages(tmp_path: Path) -> None:
    """Nobody answers in the last round; everybody then averages the rounds before it."""
    network = run(tmp_path, splits=2, tail=4)
    last = network.plan.rounds - 1

    def silent(packet: Any) -> Any:
        message = Payload.decode(packet.body)
        lost = isinstance(message, ScalarUpdate) and message.round_index == last
        return () if lost else (packet,)

    network.fault = silent
    network.run(idle_s=20.0)
    absent = reference(network.plan, lambda r, slot: r == last)
    assert network.digests() == {absent.digest()}
    without = reference(plan_of("zowarmup-split", splits=2), lambda r, slot: r == last)
    assert not np.array_equal(absent.values(), without.values())
