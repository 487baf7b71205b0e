"""A run of examples/flower by Flower's deployment engine: SuperLink, SuperNodes, apps.

As a program, ``flower_run.py`` (root), it puts one SuperNode on a virtual cable of its own and
counts that client's bytes a round, in the steady state.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]
if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "tests/helpers"), str(ROOT)]

from waiting import free_port  # noqa: E402

NODES, ROUNDS = 2, 6
LIMIT_S = 400.0


@contextmanager
def flower(
    folder: Path, name: str, *words: str, within: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
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
            [*within, str(Path(sys.executable).with_name(words[0])), *words[1:]],
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


def _succeeds(folder: Path, *words: str, within: Sequence[str]) -> bool:
    with flower(folder, "run", *words, within=within) as command:
        return command.wait(LIMIT_S) == 0


def _read_whole(file: Path) -> dict[str, object] | None:
    """Read a JSON file; None while it is not there or still being written."""
    try:
        return json.loads(file.read_text())  # type: ignore[no-any-return]
    except (OSError, ValueError):
        return None


def run_by_flower(
    folder: Path,
    *,
    rounds: int = ROUNDS,
    address: str = "127.0.0.1",
    within: Sequence[Sequence[str]] = ((), ()),
    meanwhile: Callable[[], None] = lambda: None,
) -> dict[str, object]:
    """SuperLink, SuperNodes and one run of the example.

    Args:
        folder: for all files.
        rounds: of both phases.
        address: of the SuperLink.
        within: command prefixes: of the first SuperNode, and of all else.
        meanwhile: called again and again.

    Returns:
        The run's outcome.
    """
    port, outcome = free_port(), folder / "outcome.json"
    (folder / "flwr").mkdir()
    (folder / "flwr" / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "{address}:{port}"\n'
        "insecure = true\n"
    )
    alone, here = within
    with ExitStack() as stack:
        link = ["flower-superlink", "--insecure", "--disable-runtime-dependency-installation"]
        link += ["--host", address, "--port", str(port)]
        stack.enter_context(flower(folder, "superlink", *link, within=here))
        for slot in range(NODES):
            words = ("flower-supernode", "--insecure", "--superlink", f"{address}:{port}")
            own = ("--port", str(free_port()), "--node-config", f"slot={slot}")
            place = here if slot else alone
            stack.enter_context(flower(folder, f"node-{slot}", *words, *own, within=place))
        config = f'log="{folder}/round.log" outcome="{outcome}" rounds={rounds}'
        run = ("flwr", "run", str(ROOT / "examples/flower"), "here", "--run-config", config)
        ends_s = time.monotonic() + LIMIT_S
        while not _succeeds(folder, *run, within=here):  # until the SuperLink listens
            assert time.monotonic() < ends_s, (folder / "run.txt").read_text()
            time.sleep(1.0)
        ends_s = time.monotonic() + LIMIT_S
        while (found := _read_whole(outcome)) is None:
            assert time.monotonic() < ends_s, (folder / "superlink.txt").read_text()[-3000:]
            meanwhile()
            time.sleep(0.2)
    return found


def count_bytes(rounds: int) -> None:
    """Print when each round's result was logged, and the cable's counters then."""
    from devices.traffic import network_pair

    with network_pair() as (here, there), tempfile.TemporaryDirectory() as name:
        log, sizes = Path(name) / "round.log", [0]

        def meanwhile() -> None:
            size = log.stat().st_size if log.exists() else 0
            if size != sizes[-1]:
                sizes.append(size)
                now = there.counters()
                line = f"{time.monotonic():.1f} s, log {size}, {now.sent_bytes} up, "
                print(line + f"{now.received_bytes} down", flush=True)

        prefixes = (there.command([]), here.command([]))
        run_by_flower(
            Path(name), rounds=rounds, address=here.address, within=prefixes, meanwhile=meanwhile
        )


if __name__ == "__main__":
    count_bytes(12)
