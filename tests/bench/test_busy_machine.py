"""Training beside a process that spins on one core: the default is near the best hand-set threads.

Threads that spin too are left out: they take minutes here, and are never the best.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator

import pytest

from zo_core.threads import candidates

pytestmark = [pytest.mark.nightly, pytest.mark.process]

TRAIN = ["train", "--split", "10/90", "--rounds", "10", "--pivot", "4", "--json", "--quiet"]
TURNS = 3


@pytest.fixture
def spinning() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def seconds(folder: str, words: list[str]) -> float:
    """Train in a fresh process; return the wall time of its rounds."""
    env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-m", "bench", *TRAIN, "--out", folder, *words],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    elapsed_s: float = json.loads(done.stdout)["metrics"]["elapsed_s"]["value"]
    return elapsed_s


@pytest.mark.usefixtures("spinning")
def test_the_default_is_within_a_third_of_the_best_threads_set_by_hand(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    by_hand = {f"{number} threads": ["--threads", str(number)] for number in candidates()}
    runs: dict[str, list[str]] = {"default": [], **by_hand}
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(TURNS):
        for name, words in runs.items():
            found[name].append(seconds(str(tmp_path_factory.mktemp("run")), words))
    medians = {name: statistics.median(each) for name, each in found.items()}
    print({name: round(value, 2) for name, value in medians.items()})
    best = min(value for name, value in medians.items() if name != "default")
    assert medians["default"] <= 1.3 * best, medians
