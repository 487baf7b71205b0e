"""``zobench join``: join a training run over a network as a client.

A device with torch and enough memory also trains by backprop in the warm-up. Other devices run
forward passes only, with torch or with an exported model and onnxruntime.
"""

from __future__ import annotations

import argparse
import random
import re
import socket
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import devices
from bench.cli import (
    EXIT_DONE,
    EXIT_GATE,
    Group,
    add_command,
    print_json,
    refuse_unused,
    status_console,
    unused_options,
    user_errors,
)
from bench.cli.client_lines import ClientLines
from bench.cli.link_options import (
    add_link_options,
    port_of,
    security_of,
    topics_of,
    unused_on_link,
)
from bench.cli.threads import add_threads_option, chosen_threads
from bench.format import MIB
from bench.suite.preflight import DEVICE_TYPES, choose_device
from devices.group_limits import lowest_group_limit
from zo_core.blake import blake2b
from zo_core.import_by_name import allowing_modules

if TYPE_CHECKING:
    from zo_core.federation.protocol.trainers import OnnxTrainer, TorchTrainer

EXAMPLES = """\
  zobench join                                          a server on this machine
  zobench join hub.example --ca ca.pem --username pi4 --password-file secret
  zobench join 192.168.1.5 --insecure --model exported  without torch, in a network that you trust
"""
_OF_THE_OTHER = {  # options of the other back end
    "torch": ("model", "session"),
    "onnx": ("device", "high_mib", "data_dir"),
}

_HOST = "127.0.0.1"
_PATIENCE_S = 60.0
_MACHINE_IDS = (Path("/proc/device-tree/serial-number"), Path("/etc/machine-id"))
_NOT_SET = "uninitialized"  # machine-id(5), of an image that has not started yet
_HOST_CHARACTERS = 48  # of the host's name that are part of a default name


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    from zo_core.federation.protocol.trainers import HIGH_MEMORY_MIB

    parser = add_command(commands, "join", __doc__, EXAMPLES, group=Group.TRAIN)
    parser.add_argument(
        "broker",
        nargs="?",
        default=_HOST,
        metavar="HOST",
        help=f"host of the broker; default: {_HOST}",
    )
    parser.add_argument(
        "--name", help="name of this client; default: the host name and an id of this board"
    )
    parser.add_argument(
        "--slot",
        type=int,
        metavar="N",
        help="number of the client to be, from 0; default: any free one",
    )
    parser.add_argument(
        "--backend",
        choices=("auto", "torch", "onnx"),
        default="auto",
        help="library that runs forwards; auto: torch if it is installed and the memory is enough"
        " for backprop, else onnx if --model is given; default: auto",
    )
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="folder written by zobench export, for onnx"
    )
    parser.add_argument(
        "--session",
        choices=("memory", "speed"),
        help="what onnx optimises for; default: memory",
    )
    parser.add_argument(
        "--high-mib",
        type=float,
        metavar="MIB",
        help="memory in MiB from which this device also trains by backprop; default: "
        f"{HIGH_MEMORY_MIB}",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="own data, an NPZ file with the arrays x and y; default: the data of the slot",
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="folder with the files of data sets, for torch"
    )
    parser.add_argument(
        "--device", choices=DEVICE_TYPES, help="device that torch computes on; default: cpu"
    )
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        metavar="MODULE",
        help="module of the current folder that the run may import for its own model, data, loss"
        " or method; may be repeated; default: none that the server names",
    )
    add_threads_option(parser)
    parser.add_argument(
        "--patience",
        type=float,
        default=_PATIENCE_S,
        metavar="SECONDS",
        help=f"time to wait for a broker that does not answer; default: {_PATIENCE_S:.0f} s",
    )
    add_link_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train as a client until the run is over."""
    from zo_core.federation.mqtt.loops import client_link, join
    from zo_core.federation.protocol.client import Client
    from zo_core.federation.protocol.messages import ANY_SLOT
    from zo_core.federation.protocol.trainers import TorchTrainer

    console = status_console(arguments)
    with ExitStack() as stack:
        stack.enter_context(allowing_modules(arguments.imports or ()))
        with user_errors():
            topics, security, name = topics_of(arguments), security_of(arguments), _name(arguments)
            trainer, high, unused = _trainer(arguments)
            for line in (*unused, *unused_on_link(arguments, arguments.broker)):
                console.print(f"warning: {line}", soft_wrap=True)
            console.print(_waiting_words(arguments))
            spool = stack.enter_context(devices.temporary_folder())
            slot = ANY_SLOT if arguments.slot is None else arguments.slot
            # tells two programs with one name apart
            instance = random.SystemRandom().randrange(1, 2**32)
            client = Client(trainer, high=high, slot=slot, spool=spool, instance=instance)
            link = client_link(topics, name)
            stack.callback(link.close)
            link.open(arguments.broker, port_of(arguments), security, patience_s=arguments.patience)
        library = "torch" if isinstance(trainer, TorchTrainer) else "onnxruntime"
        console.print(
            f"connected as {name} ({library}, {'high' if high else 'low'}-resource); waiting for "
            f"the server of topics {topics.prefix}/#, without a time limit (Ctrl-C stops)"
        )
        data_dir = arguments.data_dir if library == "torch" else None
        lines = ClientLines(console, client, trainer, data_dir=data_dir)
        stop = join(client, link, topics, refresh=lines.refresh)
    outcome = {
        "name": name,
        "slot": client.slot,
        "threads": trainer.threads,
        "rounds": client.next_round,
        "digest": client.replica.digest().hex() if client.replica else None,
        "arithmetic": trainer.arithmetic.to_json() if trainer.arithmetic else None,
        "events": dict(client.events),
        "reason": stop.reason,
    }
    if arguments.json:
        print_json(outcome)
    else:
        print(f"client {client.slot}: {client.next_round} rounds, digest {outcome['digest']}")
    console.print("the run is over" if stop.reason is None else f"left the run: {stop.reason}")
    return EXIT_DONE if stop.reason is None else EXIT_GATE


def _waiting_words(arguments: argparse.Namespace) -> str:
    host, port = arguments.broker, port_of(arguments)
    return (
        f"connecting to the broker at {host}:{port}; waits up to {arguments.patience:g} s for it "
        "(--patience)"
    )


def _name(arguments: argparse.Namespace) -> str:
    from zo_core.federation.protocol.roster import IDENTITY

    name = (
        arguments.name or arguments.username or _default_name(socket.gethostname(), _machine_id())
    )
    if not IDENTITY.fullmatch(name):
        raise ValueError(
            f"--name must be 1 to 64 letters, digits, dots, dashes or underscores, got {name!r}"
        )
    return str(name)


def _default_name(host: str, machine: str) -> str:
    """Name a device by its host name and, since new boards share theirs, by its machine.

    >>> _default_name("raspberrypi", "a machine's id")
    'raspberrypi-7ebb91'
    """
    mark = blake2b(machine.encode(), digest_size=3).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9._-]', '-', host)[:_HOST_CHARACTERS]}-{mark}"


def _machine_id() -> str:
    """Read what identifies this board: its serial number, else the system's id, else an address.

    A file that is empty or a fill-in, as in images of containers, identifies nothing.
    """
    for path in _MACHINE_IDS:
        with suppress(OSError):
            found = path.read_bytes().strip(b"\0\n ").decode(errors="replace")
            if found.strip("0") and found != _NOT_SET:
                return found
    return str(uuid.getnode())


def _trainer(
    arguments: argparse.Namespace,
) -> tuple[TorchTrainer | OnnxTrainer, bool, list[str]]:
    """Choose the back end of this client, whether it is high-resource, and what has no effect."""
    import psutil

    from zo_core.federation.protocol.trainers import (
        HIGH_MEMORY_MIB,
        OnnxTrainer,
        TorchTrainer,
        choose_backend,
        load_shard,
    )

    threads = chosen_threads(arguments)
    limit = lowest_group_limit()  # a container's
    memory = psutil.virtual_memory().total if limit is None else limit.size_bytes
    memory_mib = memory / MIB
    backend = arguments.backend
    high_mib = HIGH_MEMORY_MIB if arguments.high_mib is None else arguments.high_mib
    if backend == "auto":
        backend, high = choose_backend(
            model=arguments.model, memory_mib=memory_mib, high_mib=high_mib
        )
        others = [name for name in _OF_THE_OTHER[backend] if name != "high_mib"]
        unused = unused_options(arguments, others, f"on {backend}, which --backend auto chose")
    else:
        unused = []
        refuse_unused(arguments, _OF_THE_OTHER[backend], f"on --backend {backend}")
        high = backend == "torch" and memory_mib >= high_mib
    own = None if arguments.data is None else load_shard(arguments.data)
    if backend == "torch":
        device = choose_device(arguments.device or "cpu")
        trainer = TorchTrainer(data_dir=arguments.data_dir, device=device, threads=threads, own=own)
        return trainer, high, unused
    if arguments.model is None:
        raise ValueError("--backend onnx needs --model DIR, which zobench export writes")
    mode = arguments.session or "memory"
    return OnnxTrainer(arguments.model, mode=mode, threads=threads, own=own), high, unused
