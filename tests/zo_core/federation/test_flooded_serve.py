"""`zobench serve` in a process of its own: a stranger's messages cost it little, rounds go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_flooded import MOST_GROWTH_MIB, flood
from test_mqtt import TOPICS
from waiting import WAIT_S, free_port

from bench.cli.serve import OUTCOME_FILE
from zo_core.federation.mqtt.loops import client_link, join
from zo_core.federation.mqtt.security import Security
from zo_core.federation.protocol.client import Client
from zo_core.federation.protocol.trainers import TorchTrainer

pytestmark = [pytest.mark.network, pytest.mark.process, pytest.mark.slow]
ROOT, PROGRAM = Path(__file__).parents[3], Path(__file__).with_name("served_command.py")
CLIENTS, ROUNDS, CHUNK_KIB = 2, 60, 16
LIMITS = {"packet_bytes": 1024 * CHUNK_KIB + 512, "messages_per_s": 200.0}
RUN = f"--clients {CLIENTS} --split 50/50 --warmup-cohort 1 --rounds {ROUNDS} --pivot 2"
OPTIONS = (
    f"{RUN} --deadline 600 --run-seed 5 --threads 1 --forward contiguous --chunk-kib {CHUNK_KIB}"
)


@dataclass(frozen=True)
class Served:
    """What came of a run of the command."""

    peak_mib: float
    turned_away: dict[str, int]
    digest: str
    refused: dict[str, int]


def run_client(name: str, port: int, folder: Path) -> None:
    spool = folder / name
    spool.mkdir(parents=True)
    client = Client(TorchTrainer(threads=1), high=True, slot=int(name[1:]), spool=spool)
    link = client_link(TOPICS, name)
    link.open("127.0.0.1", port, Security(), patience_s=WAIT_S)
    join(client, link, TOPICS)
    link.close()


def served(folder: Path, size: int | None) -> Served:
    """Run the command with two clients, and a stranger who sends bodies of some size meanwhile."""
    port, ends = free_port(), threading.Event()
    words = ["serve", "--dir", str(folder), "--port", str(port), "--topic", TOPICS.prefix]
    command = [sys.executable, str(PROGRAM), json.dumps(LIMITS), *words, "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    works = [
        threading.Thread(target=run_client, args=(f"c{n}", port, folder / "spools"), daemon=True)
        for n in range(CLIENTS)
    ]
    if size is not None:
        works.append(threading.Thread(target=flood, args=(port, bytes(size), ends), daemon=True))
    with subprocess.Popen(
        [*command, *OPTIONS.split()], stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        for work in works:
            work.start()
        printed = server.communicate()[0].splitlines()
    ends.set()
    for work in works:
        work.join(WAIT_S)
    assert server.returncode == 0, printed
    outcome = json.loads((folder / OUTCOME_FILE).read_text())
    assert outcome["rounds"] == ROUNDS
    return Served(**json.loads(printed[-1]), digest=outcome["digest"], refused=outcome["refused"])


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return served(tmp_path_factory.mktemp("quiet"), None)


@pytest.mark.parametrize("above", [-200, 1], ids=["within the limit", "above the limit"])
def test_the_servers_peak_and_its_rounds_are_those_without_the_stranger(
    tmp_path: Path, quiet: Served, above: int
) -> None:
    loud = served(tmp_path, LIMITS["packet_bytes"] + above)

    assert loud.peak_mib < quiet.peak_mib + MOST_GROWTH_MIB
    assert loud.digest == quiet.digest
    assert quiet.refused == quiet.turned_away == {}
    if above < 0:
        assert loud.refused.keys() == {"MALFORMED"}
    else:
        assert loud.refused == {}
        assert loud.turned_away["connections with over-long packets"] > 0
