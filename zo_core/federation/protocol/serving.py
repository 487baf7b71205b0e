"""How a server begins a run or goes on with one: its log, its model, its spool."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zo_core.federation.log import RoundLog, meta_of
from zo_core.federation.protocol.plan import Plan, PlanError, Rules
from zo_core.federation.protocol.server import Server
from zo_core.federation.store import Store
from zo_core.replica import Replica


def fresh_id() -> int:
    """Draw 64 bits for a run id or a run seed of a deployment."""
    return secrets.randbits(64)


def begin(
    plan: Plan,
    rules: Rules,
    replica: Replica,
    store: Store,
    spool: Path,
    *,
    threads: int | None = None,
    **options: Any,
) -> Server:
    """Begin a run.

    Args:
        plan: the run.
        rules: deadline, quorum, clip.
        replica: the initial model.
        store: empty, or to be replaced.
        spool: folder for models on their way; what it holds is removed.
        threads: CPU threads that the server computes on, kept in the log; None: the library's.
        options: see :class:`zo_core.federation.protocol.server.Server`.
    """
    if plan.is_dense(0):
        snapshot = replica.snapshot(run_id=plan.run_id, round_index=0)
        replica.restore_(snapshot)
    else:
        snapshot = replica.hand_over_(run_id=plan.run_id, round_index=0)
    log = RoundLog(snapshot, plan.context_of, store=store, meta=_meta(plan, threads))
    return Server(
        plan=plan,
        rules=rules,
        log=log,
        replica=replica,
        base=replica.digest_prefix(),
        spool=_emptied(spool),
        **options,
    )


def resume(
    rules: Rules, build: Callable[[Plan], Replica], store: Store, spool: Path, **options: Any
) -> Server:
    """Go on with a run where its log ends; only the round in flight is lost.

    Args:
        rules: deadline, quorum, clip.
        build: makes a model of the plan's kind.
        store: what an earlier server of the run has kept.
        spool: as in :func:`begin`.
        options: see :class:`zo_core.federation.protocol.server.Server`.

    Raises:
        StoreError: the store holds no run.
        ForkError: its results do not lead from its snapshot to their digests.
    """
    plan = plan_of(store)
    log = RoundLog.open(store, plan.context_of)
    replica = build(plan)
    base = replay_(plan, log, replica)
    return Server(
        plan=plan,
        rules=rules,
        log=log,
        replica=replica,
        base=base,
        spool=_emptied(spool),
        **options,
    )


def replay_(plan: Plan, log: RoundLog, replica: Replica) -> bytes:
    """Bring a replica to the log's newest round; return the digest's first 8 bytes at its snapshot.

    Raises:
        ForkError: the results do not lead from the snapshot to their digests.
    """
    replica.restore_(log.snapshot)
    base = replica.digest_prefix()
    if log.next_round > log.snapshot_round:
        method = plan.method_at(log.snapshot_round)
        log.replay_(method, replica, from_round=log.snapshot_round)
    return base


def plan_of(store: Store) -> Plan:
    """Return the plan of the run that a store holds.

    Raises:
        StoreError: it holds none.
        PlanError: it is of another version.
    """
    try:
        meta = json.loads(meta_of(store))
        run_id, run_seed = int(meta["run_id"], 16), int(meta["run_seed"], 16)
        plan = meta["plan"].encode()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PlanError(f"the log's first record is not a run of this version ({error})") from error
    return Plan.from_json(plan, run_id=run_id, run_seed=run_seed)


def threads_of(store: Store) -> int | None:
    """Return the number of CPU threads that the run in a store computes on; None: the library's."""
    threads: int | None = json.loads(meta_of(store)).get("threads")
    return threads


def _meta(plan: Plan, threads: int | None) -> bytes:
    fields = {
        "threads": threads,
        "run_id": f"{plan.run_id:016x}",
        "run_seed": f"{plan.config.run_seed:016x}",
        "plan": plan.to_json().decode(),
    }
    return json.dumps(fields).encode()


def _emptied(spool: Path) -> Path:
    shutil.rmtree(spool, ignore_errors=True)
    spool.mkdir(parents=True)
    return spool
