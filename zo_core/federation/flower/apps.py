"""A Flower ServerApp and ClientApp of a run on a data set by name; see examples/flower.

The run's config contains what ``train_config`` takes, and ``log`` and ``outcome``, files of
the server.  A node's config may hold ``slot``, ``model`` (what ``zobench export`` wrote) and
``high-mib``.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from zo_core.algorithms import train_config
from zo_core.config import TrainConfig
from zo_core.federation.flower.link import answer, serve
from zo_core.federation.protocol.client import Client
from zo_core.federation.protocol.messages import ANY_SLOT
from zo_core.federation.protocol.plan import Plan, Rules
from zo_core.federation.protocol.server import Server
from zo_core.federation.protocol.serving import begin, fresh_id, plan_of, resume
from zo_core.federation.protocol.trainers import (
    HIGH_MEMORY_MIB,
    OnnxTrainer,
    TorchTrainer,
    choose_backend,
)
from zo_core.federation.store import FileStore
from zo_core.whole_files import whole_file


def server_app() -> ServerApp:
    """Make the app that runs rounds until the run is over."""
    app = ServerApp()

    @app.main()  # type: ignore[untyped-decorator]
    def main(grid: Grid, context: Context) -> None:
        given = dict(context.run_config)
        log, outcome = Path(str(given.pop("log"))), Path(str(given.pop("outcome")))
        log.parent.mkdir(parents=True, exist_ok=True)
        with closing(FileStore(log)) as store:
            server = _server(config_of(given), store, log.parent / "spool")
            stop = serve(server, grid)
        results = {
            "rounds": server.next_round,
            "digest": server.replica.digest().hex(),
            "refused": {reason.name: n for reason, n in server.refused.items()},
            "reason": stop.reason,
        }
        with whole_file(outcome) as part:
            part.write_text(json.dumps(results))

    return app


def client_app() -> ClientApp:
    """Make the app that takes part, with torch or with an exported model alone."""
    app = ClientApp()

    @app.train()  # type: ignore[untyped-decorator]
    def train(message: Message, context: Context) -> Message:
        node = context.node_config
        with tempfile.TemporaryDirectory(prefix="zobench-") as spool:
            trainer, high = _trainer(dict(node))
            slot = int(node.get("slot", ANY_SLOT))
            client = Client(trainer, high=high, slot=slot, spool=Path(spool))
            return answer(message, context, client)

    return app


def config_of(given: dict[str, Any]) -> TrainConfig:
    """Read a run's config; dashes stand for underscores.

    Raises:
        ValueError: the algorithm takes no option of a name, or a value is out of its range.
    """
    named = {name.replace("-", "_"): value for name, value in given.items()}
    named.setdefault("run_seed", fresh_id())
    return train_config(**named)


def _server(config: TrainConfig, store: FileStore, spool: Path) -> Server:
    """Begin a run, or go on with the one that the store holds."""
    from zo_core.data import load_dataset
    from zo_core.federation.build import initial_replica, shard_samples

    plan = plan_of(store) if len(store) else None
    dataset = load_dataset((plan.config if plan else config).dataset)
    replica = initial_replica(plan.config if plan else config, dataset, "cpu")
    rules = Rules(wait_for=config.clients, deadline_s=600.0)
    if plan is not None:
        return resume(rules, lambda _: replica, store, spool)
    plan = Plan(config, run_id=fresh_id(), samples=shard_samples(config, dataset))
    return begin(plan, rules, replica, store, spool)


def _trainer(node: dict[str, Any]) -> tuple[TorchTrainer | OnnxTrainer, bool]:
    import psutil

    model = Path(str(node["model"])) if "model" in node else None
    backend, high = choose_backend(
        model=model,
        memory_mib=psutil.virtual_memory().total / 2**20,
        high_mib=float(node.get("high-mib", HIGH_MEMORY_MIB)),
    )
    if backend == "onnx":
        assert model is not None  # chosen for it
        return OnnxTrainer(model), high
    return TorchTrainer(), high
