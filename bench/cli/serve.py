"""``zobench serve``: start the server of a training run over a network.

Clients join with ``zobench join``. The state of the run is in --dir. After a crash, run the same
command again to resume it.
"""

from __future__ import annotations

import argparse
import json
import secrets
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli import (
    EXIT_DONE,
    EXIT_GATE,
    Group,
    MissingRequirementError,
    add_command,
    print_json,
    refuse_unused,
    status_console,
    user_errors,
)
from bench.cli.config_options import ComputedDefault, add_config_options, chosen_config
from bench.cli.embedded import check_embedded, outer_address, own_address, start_embedded
from bench.cli.link_options import port_of, security_of, topics_of, unused_on_link
from bench.cli.no_effect import rules_without_effect, without_effect
from bench.cli.serve_options import DEFAULT_LISTEN, add_serve_options
from bench.cli.threads import add_threads_option, chosen_threads, describe_threads
from zo_core.federation.mqtt.security import is_loopback
from zo_core.import_by_name import is_own, top_module
from zo_core.whole_files import whole_file

if TYPE_CHECKING:
    from bench.cli.round_table import RoundTable
    from zo_core.config import TrainConfig
    from zo_core.data import Dataset
    from zo_core.federation.protocol.plan import Plan, Rules
    from zo_core.federation.protocol.server import Server
    from zo_core.federation.store import FileStore

EXAMPLES = """  zobench serve --clients 8 --split 50/50        with a broker inside this process
  zobench serve --broker 127.0.0.1 --clients 8   with a Mosquitto broker on this machine
  zobench serve --broker hub.example --ca ca.pem --username server --password-file secret
"""
LOG_FILE = "round.log"
OUTCOME_FILE, WEIGHTS_FILE = "outcome.json", "weights.safetensors"
_WARMUP_COHORT = 10  # of all clients, if there are that many


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "serve", __doc__, EXAMPLES, group=Group.TRAIN)
    add_serve_options(parser)
    add_config_options(
        parser,
        run_seed=ComputedDefault("random, or that of the interrupted run"),
        clients=8,
        warmup_cohort=ComputedDefault(f"{_WARMUP_COHORT}, or all clients if there are fewer"),
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="folder with the files of data sets"
    )
    add_threads_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve a run to its end."""
    from bench.cli.round_table import RoundTable, refusals
    from zo_core.federation.mqtt.link import SERVER
    from zo_core.federation.mqtt.loops import serve, server_link

    console = status_console(arguments)
    with ExitStack() as stack:
        with user_errors():
            if arguments.broker is None:
                check_embedded(arguments)
            else:
                own = (
                    ["passwords"] if arguments.listen == DEFAULT_LISTEN else ["listen", "passwords"]
                )
                refuse_unused(arguments, own, "on the broker of --broker")
            topics, rules = topics_of(arguments), _rules(arguments)
            security = security_of(arguments)
            store = _store(arguments.dir)
            stack.callback(_remove_if_unused, store, arguments.dir)
            stack.callback(store.close)
            table = stack.enter_context(RoundTable(console))
            server, threads = _server(arguments, rules, store, table)
            table.server = server
            identity, host, outer = SERVER, arguments.broker, arguments.broker
            if host is None:
                identity = f"{SERVER}-{secrets.token_hex(8)}"
                host, outer = own_address(arguments.listen), outer_address(arguments.listen)
                security = start_embedded(arguments, topics, identity, stack)
            link = server_link(topics, identity)
            stack.callback(link.close)
            link.open(host, port_of(arguments), security)
        host_words = arguments.broker or arguments.listen
        for line in unused_on_link(arguments, host_words):
            console.print(f"warning: {line}")
        console.print(threads)
        console.print(
            f"run {server.plan.run_id:016x}, round {server.next_round} of {server.plan.rounds}, "
            f"log {arguments.dir / LOG_FILE}; broker {host}:{port_of(arguments)}, topics "
            f"{topics.prefix}/#"
        )
        console.print(
            f"waiting for {rules.wait_for} clients; on each device: "
            f"{_join_words(arguments, outer, server.plan.config)}"
        )
        try:
            stop = serve(server, link, topics, refresh=table.refresh)
            outcome = _outcome(server, stop.reason)
            _write_results(server, outcome, arguments.dir)
        except OSError as error:  # a full disk, most likely
            raise MissingRequirementError(
                f"the server stopped ({error}); the log in {arguments.dir} is intact: fix the "
                "problem and run the same command again"
            ) from error
    console.print(refusals(server))
    if arguments.json:
        print_json(outcome)
    else:
        print(f"server: {outcome['rounds']} rounds, digest {outcome['digest']}")
    ending = "the run is over" if stop.reason is None else f"the run stopped: {stop.reason}"
    console.print(f"{ending}; results in {arguments.dir / OUTCOME_FILE}")
    return EXIT_DONE if stop.reason is None else EXIT_GATE


def _write_results(server: Server, outcome: dict[str, Any], folder: Path) -> None:
    """Write the outcome and the weights, each whole or not at all."""
    from zo_core.models.initial_weights import save_weights

    with whole_file(folder / OUTCOME_FILE) as part:
        part.write_text(json.dumps(outcome, indent=1))
    about = {"model": server.plan.config.model, "digest": server.replica.digest().hex()}
    save_weights(server.replica.module, folder / WEIGHTS_FILE, about)


def _join_words(arguments: argparse.Namespace, host: str, config: TrainConfig) -> str:
    """Write the command with which another device joins."""
    words = f"zobench join {host} --port {port_of(arguments)}{_import_words(config)}"
    if arguments.ca is not None:
        return f"{words} --ca {arguments.ca}"
    return words if is_loopback(host) else f"{words} --insecure"


def _import_words(config: TrainConfig) -> str:
    """Write the options by which a client with torch allows the run's own modules."""
    names = (config.model, config.dataset, config.criterion, config.algorithm)
    own = [top_module(name) for name in names if is_own(name)]
    return "".join(f" --import {module}" for module in dict.fromkeys(own))


def _rules(arguments: argparse.Namespace) -> Rules:
    from zo_core.federation.protocol.plan import Rules

    if arguments.wait_for is not None and arguments.wait_for > arguments.clients:
        raise ValueError(
            f"--wait-for must be at most --clients, {arguments.clients}, got {arguments.wait_for}"
        )
    return Rules(
        deadline_s=arguments.deadline,
        warmup_deadline_s=arguments.warmup_deadline,
        quorum=arguments.quorum,
        clip=arguments.clip,
        wait_for=arguments.clients if arguments.wait_for is None else arguments.wait_for,
        keep_rounds=arguments.keep_rounds,
    )


def _store(folder: Path) -> FileStore:
    from zo_core.federation.store import FileStore

    folder.mkdir(parents=True, exist_ok=True)
    return FileStore(folder / LOG_FILE)


def _remove_if_unused(store: FileStore, folder: Path) -> None:
    """Remove the log of a run that never started, as after a refused option."""
    if len(store):
        return
    for name in (LOG_FILE, f"{LOG_FILE}.lock"):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):  # it has other files
        folder.rmdir()


def _server(
    arguments: argparse.Namespace, rules: Rules, store: FileStore, table: RoundTable
) -> tuple[Server, str]:
    """Continue the run in the folder, or start one; describe its threads."""
    from zo_core.federation.build import built_model
    from zo_core.federation.protocol.serving import begin, plan_of, resume, threads_of
    from zo_core.threads import choose_threads

    spool = arguments.dir / "spool"
    earlier = plan_of(store) if len(store) else None
    plan, dataset = _plan(arguments, earlier)
    built = built_model(plan.config, dataset, "cpu")
    replica = built.replica
    wanted = chosen_threads(arguments)
    if earlier is not None and wanted == "auto":
        wanted = threads_of(store)
    threads, trial_s = choose_threads(wanted, replica.module, dataset.train.x)
    unused = without_effect(arguments, plan.config, dataset)
    unused += rules_without_effect(arguments, rules, plan.schedule.algorithm.phases)
    remarks = [f"warning: {remark}" for remark in (*unused, *built.remarks)]
    words = "\n".join([describe_threads(threads, trial_s), *remarks])
    if earlier is not None:
        server = resume(rules, lambda _: replica, store, spool, on_round=table.note)
    else:
        server = begin(plan, rules, replica, store, spool, threads=threads, on_round=table.note)
    return server, words


def _plan(arguments: argparse.Namespace, earlier: Plan | None) -> tuple[Plan, Dataset]:
    """Make the plan of the options and load its data; refuse one that differs from the run's."""
    from zo_core.data import load_dataset, needs_files
    from zo_core.federation.build import shard_samples
    from zo_core.federation.protocol.plan import Plan
    from zo_core.federation.protocol.serving import fresh_id

    seed = arguments.run_seed
    if seed is None:
        seed = fresh_id() if earlier is None else earlier.config.run_seed
    cohort = arguments.warmup_cohort
    if cohort is None:
        cohort = min(_WARMUP_COHORT, arguments.clients)
    config = chosen_config(arguments, run_seed=seed, warmup_cohort=cohort)
    if not needs_files(config.dataset):
        refuse_unused(arguments, ["data_dir"], f"on {config.dataset}, which needs no files")
    dataset = load_dataset(config.dataset, data_dir=arguments.data_dir)
    samples = shard_samples(config, dataset)
    run_id = fresh_id() if earlier is None else earlier.run_id
    plan = Plan(config, run_id=run_id, samples=samples, chunk_bytes=1024 * arguments.chunk_kib)
    if earlier is not None and plan != earlier:
        was, asked = earlier.config.to_json(), config.to_json()
        other = [name for name in asked if asked[name] != was[name]] or ["--chunk-kib"]
        raise ValueError(
            f"{arguments.dir} contains a run with different {', '.join(other)}; use the options of "
            "that run, or choose another --dir"
        )
    return plan, dataset


def _outcome(server: Server, reason: str | None) -> dict[str, Any]:
    return {
        "run_id": f"{server.plan.run_id:016x}",
        "rounds": server.next_round,
        "digest": server.replica.digest().hex(),
        "clients": dict(sorted(server.log.roster.items())),
        "refused": {reason.name: count for reason, count in sorted(server.refused.items())},
        "reason": reason,
    }
