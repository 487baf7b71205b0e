"""A server of parabolas as a process that a test may kill: ``server_process.py PORT FOLDER``.

The folder holds ``plan.json``; log and spool go there, and the final digest to ``digest``.  It
needs no torch, so that it starts in a moment.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from zo_core.federation import log
from zo_core.federation.mqtt.link import SERVER, Topics
from zo_core.federation.mqtt.loops import serve, server_link
from zo_core.federation.mqtt.security import Security
from zo_core.federation.protocol.plan import Plan, Rules
from zo_core.federation.protocol.serving import begin, resume
from zo_core.federation.store import FileStore
from zo_core.replica import Replica

DIM = 12  # a parabola's


def write_plan(plan: Plan, folder: Path) -> None:
    fields = {"run_id": plan.run_id, "run_seed": plan.config.run_seed}
    (folder / "plan.json").write_text(json.dumps(fields | {"plan": plan.to_json().decode()}))


def main(port: int, folder: Path) -> None:
    log.SMALL_BYTES = 0  # the log is compacted in few rounds too
    given = json.loads((folder / "plan.json").read_text())
    plan = Plan.from_json(given.pop("plan"), **given)
    store = FileStore(folder / "round.log")
    rules = Rules(wait_for=plan.config.clients, deadline_s=600.0)
    replica = Replica([np.zeros(DIM, np.float32)])
    spool = folder / "spool"
    told = {"on_round": lambda note: print(note.round_index, flush=True)}
    if len(store):
        server = resume(rules, lambda _: replica, store, spool, **told)
    else:
        server = begin(plan, rules, replica, store, spool, **told)
    link = server_link(Topics("zo-test"), SERVER)
    link.open("127.0.0.1", port, Security())
    serve(server, link, Topics("zo-test"))
    link.close()
    (folder / "digest").write_text(server.replica.digest().hex())


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
