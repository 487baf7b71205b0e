"""The campaign of kills by the real commands: ``kill_serve.py 20 1`` for 20 kills and seed 1.

``zobench serve`` with Mosquitto and four ``zobench join``, on the digits.  The server gets kill -9
at random instants of its life, from its first import on, and is started again by the same command.
It takes minutes, so it is no test; prints the digests and when each kill came.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "tests/helpers"), str(ROOT)]

from brokers import Mosquitto  # noqa: E402

from zo_core.algorithms import train_config  # noqa: E402
from zo_core.data import load_dataset  # noqa: E402
from zo_core.federation.simulation.training import Training  # noqa: E402
from zo_core.federation.store import FileStore  # noqa: E402

CLIENTS, ROUNDS, LONGEST_S = 4, 500, 14.0
CONFIG = train_config(
    clients=CLIENTS,
    high_share=0.5,
    rounds=ROUNDS,
    pivot=5,
    warmup_cohort=2,
    zo_cohort=CLIENTS,
    local_epochs=1,
    forward="contiguous",
    run_seed=5,
)
OPTIONS = (
    f"--clients {CLIENTS} --split 50/50 --rounds {ROUNDS} --pivot 5 --warmup-cohort 2 "
    f"--zo-cohort {CLIENTS} --local-epochs 1 --forward contiguous --run-seed 5 --threads 1"
)


@contextmanager
def zobench(*words: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench", *words]
    process = subprocess.Popen(command, text=True, env=environment, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def rounds_in(folder: Path) -> int:
    """Records in the log, which no process holds."""
    if not (folder / "round.log").exists():
        return 0
    store = FileStore(folder / "round.log")
    try:
        return len(store)
    finally:
        store.close()


def main(kills: int, seed: int) -> None:
    draw = random.Random(seed)
    training = Training(CONFIG, load_dataset("digits"))
    expected = training.run().digest
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        broker = Mosquitto(folder)
        stack.callback(broker.stop)
        where = ("--port", str(broker.port), "--quiet", "--json")
        for index in range(CLIENTS):
            joins = ("join", *where, "--name", f"c{index}", "--slot", str(index), "--threads", "1")
            high = "1" if index in training.high else "1e9"
            client = zobench(*joins, "--high-mib", high, stdout=subprocess.PIPE)
            stack.enter_context(client)
        serve = ("serve", "--broker", "127.0.0.1", *where, "--dir", str(folder / "run"))
        done = 0
        while done < kills:
            with zobench(*serve, *OPTIONS.split(), stdout=subprocess.DEVNULL) as server:
                lived_s = draw.uniform(0.0, LONGEST_S)
                time.sleep(lived_s)
                if server.poll() is not None:
                    break
                server.kill()
                server.wait()
                done += 1
                records = rounds_in(folder / "run")
                print(f"kill {done} after {lived_s:.2f} s, {records} records", flush=True)
        with zobench(*serve, *OPTIONS.split(), stdout=subprocess.PIPE) as server:
            outcome = json.loads(server.communicate()[0])
    print(f"{done} kills, {outcome['rounds']} rounds: {outcome['digest']}")
    print(f"in one process, never killed:  {expected}")
    assert done == kills, "the run ended before all kills; give ROUNDS more"
    assert outcome["digest"] == expected


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
