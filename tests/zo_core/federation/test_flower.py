"""A run by Flower's deployment engine, on loopback, is the run in one process.

Needs the extra ``flower``, which the development install leaves out: it pins libraries lower than
this suite has them elsewhere, and takes some 300 MB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from brokers import free_port

pytest.importorskip("flwr", reason='flwr is not installed (pip install -e ".[flower]")')
ROOT = Path(__file__).parents[3]
NODES, ROUNDS = 2, 6
LIMIT_S = 400.0


@contextmanager
def flower(folder: Path, name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """One of Flower's commands, quiet about itself, its output in a file."""
    settings = {
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_HOME": str(folder / "flwr"),
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    with (folder / f"{name}.txt").open("wb") as output:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name(words[0])), *words[1:]],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | settings,
            cwd=folder,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def run_by_flower(folder: Path) -> dict[str, object]:
    """SuperLink, SuperNodes and one run of the example; its outcome."""
    port, outcome = free_port(), folder / "outcome.json"
    (folder / "flwr").mkdir()
    (folder / "flwr" / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{port}"\n'
        "insecure = true\n"
    )
    with ExitStack() as stack:
        link = ("flower-superlink", "--insecure", "--disable-runtime-dependency-installation")
        stack.enter_context(flower(folder, "superlink", *link, "--port", str(port)))
        for slot in range(NODES):
            words = ("flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{port}")
            own = ("--port", str(free_port()), "--node-config", f"slot={slot}")
            stack.enter_context(flower(folder, f"node-{slot}", *words, *own))
        time.sleep(5.0)
        config = f'log="{folder}/round.log" outcome="{outcome}" rounds={ROUNDS}'
        run = ("flwr", "run", str(ROOT / "examples/flower"), "here", "--run-config", config)
        with flower(folder, "run", *run) as command:
            assert command.wait(60) == 0, (folder / "run.txt").read_text()
        ends_s = time.monotonic() + LIMIT_S
        while not outcome.exists():
            assert time.monotonic() < ends_s, (folder / "superlink.txt").read_text()[-3000:]
            time.sleep(0.5)
        time.sleep(0.5)  # written
    return json.loads(outcome.read_text())  # type: ignore[no-any-return]


def test_a_run_by_flowers_deployment_engine_is_the_run_in_one_process(tmp_path: Path) -> None:
    from zo_core.config import TrainConfig
    from zo_core.data import load_dataset
    from zo_core.federation.training import Training

    outcome = run_by_flower(tmp_path)
    config = TrainConfig(
        clients=NODES,
        high_share=0.5,
        rounds=ROUNDS,
        pivot=2,
        warmup_cohort=1,
        zo_cohort=NODES,
        local_epochs=1,
        forward="contiguous",
        run_seed=7,
    )
    assert outcome["reason"] is None
    assert outcome["rounds"] == ROUNDS
    assert outcome["refused"] == {}
    assert outcome["digest"] == Training(config, load_dataset("digits")).run().digest
