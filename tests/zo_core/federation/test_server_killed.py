"""kill -9 of a server process at random instants: started again, it ends at the same digest."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from brokers import Mosquitto
from network import ParabolaTrainer, plan_of, reference
from optional import needs
from parabola import SAMPLES
from server_process import write_plan
from waiting import WAIT_S

from zo_core.federation.mqtt.link import Topics
from zo_core.federation.mqtt.loops import client_link, join
from zo_core.federation.mqtt.security import Security
from zo_core.federation.protocol.client import Client

pytestmark = [
    needs("mosquitto"),
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.network,
    pytest.mark.process,
    pytest.mark.slow,
]
PROGRAM = Path(__file__).with_name("server_process.py")
ROOT = Path(__file__).parents[3]
PLAN = plan_of(rounds=60, pivot=3)


def run_client(slot: int, port: int, folder: Path, clients: dict[int, Client]) -> None:
    spool = folder / f"spool-{slot}"
    spool.mkdir()
    client = Client(ParabolaTrainer(), high=slot in PLAN.schedule.high, slot=slot, spool=spool)
    link = client_link(Topics("zo-test"), f"c{slot}")
    link.open("127.0.0.1", port, Security())
    join(client, link, Topics("zo-test"))
    link.close()
    clients[slot] = client


def served(port: int, folder: Path, *, rounds: int | None, after_s: float) -> int:
    """Run the server to its end, or kill it some time after it has ended some rounds.

    Returns:
        Its exit status.
    """
    command = [sys.executable, str(PROGRAM), str(port), str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for _ in range(rounds or 0):
            process.stdout.readline()
        if rounds is not None:
            time.sleep(after_s)
            process.kill()
        process.stdout.read()
    return process.returncode


def campaign(folder: Path, *, kills: int, seed: int) -> tuple[str, list[Client]]:
    """One run whose server is killed again and again; its digest and its clients."""
    draw = random.Random(seed)
    broker, clients = Mosquitto(folder), dict[int, Client]()
    write_plan(PLAN, folder)
    arguments = (broker.port, folder, clients)
    threads = [
        threading.Thread(target=run_client, args=(slot, *arguments), daemon=True)
        for slot in range(len(SAMPLES))
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in range(kills):
            rounds, after_s = draw.randrange(PLAN.rounds // kills), draw.uniform(0, 0.02)
            status = served(broker.port, folder, rounds=rounds, after_s=after_s)
            assert status == -9, "it ended before it was killed"
        assert served(broker.port, folder, rounds=None, after_s=0.0) == 0
        for thread in threads:
            thread.join(WAIT_S)
    finally:
        broker.stop()
    return (folder / "digest").read_text(), list(clients.values())


def test_a_server_process_killed_at_random_instants_ends_at_the_same_digest(
    tmp_path: Path,
) -> None:
    digest, clients = campaign(tmp_path, kills=3, seed=1)
    expected = reference(PLAN).digest()
    assert digest == expected.hex()
    assert [c.replica.digest() for c in clients if c.replica] == [expected] * len(SAMPLES)
