"""Two programs of one name, and clients that come after the run's end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from network import Network, ParabolaTrainer, plan_of

from bench.cli import join
from zo_core.federation.protocol.client import Client
from zo_core.federation.protocol.messages import Hello, Reason, Refusal
from zo_core.payloads.core import Payload

pytestmark = pytest.mark.usefixtures("one_torch_thread")
PLAN = plan_of()


def started(folder: Path) -> Network:
    network = Network(PLAN, folder)
    network.join_all()
    return network


def hello(network: Network, name: str, instance: int) -> list[Any]:
    message = Hello(run_id=0, round_index=0, flags=0, instance=instance)
    return [
        Payload.decode(body)
        for action in network.server.receive(name, message.encode(), network.now_s)
        for body in action.bodies()
    ]


def test_of_two_programs_of_one_name_one_ends_with_the_reason_and_one_stays(
    tmp_path: Path,
) -> None:
    network = started(tmp_path)
    network.run(until=lambda: network.server.next_round == 4)
    refusals = [
        [m.instance for m in hello(network, "c3", instance) if isinstance(m, Refusal)]
        for instance in (7, 9, 7, 9, 7, 9, 9)
    ]
    assert refusals == [[], [], [], [], [7], [], []]  # 7 was displaced twice
    assert network.server.refused[Reason.NAME_TAKEN] == 4 + 1


def test_a_program_that_is_started_again_and_again_keeps_its_name(tmp_path: Path) -> None:
    network = started(tmp_path)
    for instance in range(1, 20):
        assert not any(isinstance(m, Refusal) for m in hello(network, "c3", instance))


def test_a_refused_program_says_why_and_the_other_of_its_name_goes_on(tmp_path: Path) -> None:
    network = started(tmp_path)
    client = network.clients["c3"]
    client.instance = 9
    for instance, over in ((7, False), (9, True)):
        refusal = Refusal(
            run_id=PLAN.run_id, round_index=0, reason=Reason.NAME_TAKEN, instance=instance
        )
        client.receive(refusal.encode(), network.now_s)
        assert (client.over is not None) is over
    assert "NAME_TAKEN (another client of the same name is in the run" in str(client.over.reason)


def test_a_client_that_comes_after_the_end_is_told(tmp_path: Path) -> None:
    network = started(tmp_path)
    network.run()
    late = Client(ParabolaTrainer(), high=False, spool=tmp_path)
    late.receive(network.server.farewell().body, network.now_s)
    assert "RUN_OVER (the run is over" in str(late.over.reason)
    assert [m.reason for m in hello(network, "c9", 5) if isinstance(m, Refusal)] == [
        Reason.RUN_OVER
    ]
    behind = network.clients["c1"]
    behind.over = None
    other_run = replace(Payload.decode(network.server.farewell().body), run_id=1)
    assert behind.receive(other_run.encode(), network.now_s) == []


@pytest.mark.parametrize("content", [b"", b"\n", b"uninitialized\n", b"0000000000000000\0"])
def test_a_board_whose_id_is_a_fill_in_is_named_by_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    fill_in, system = tmp_path / "serial-number", tmp_path / "machine-id"
    fill_in.write_bytes(content)
    monkeypatch.setattr(join, "_MACHINE_IDS", (fill_in, system))
    monkeypatch.setattr(join.uuid, "getnode", lambda: 42)
    assert join._machine_id() == "42"
    system.write_text("4f8a\n")
    assert join._machine_id() == "4f8a"
