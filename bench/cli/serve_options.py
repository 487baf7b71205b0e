"""Options of ``zobench serve`` besides those of the training: the broker and the rounds."""

from __future__ import annotations

from pathlib import Path

from bench.cli.link_options import add_link_options
from bench.cli.parser import CommandParser

DEFAULT_LISTEN = "127.0.0.1"
_FOLDER = Path("zobench-results/served")


def add_serve_options(parser: CommandParser) -> None:
    """Add where the run is stored, how clients reach the broker, and the rules of rounds."""
    parser.add_argument(
        "--dir",
        type=Path,
        default=_FOLDER,
        metavar="DIR",
        help=f"folder of the run; default: {_FOLDER}",
    )
    parser.add_argument(
        "--broker", metavar="HOST", help="host of an MQTT broker; default: one inside this process"
    )
    parser.add_argument(
        "--listen",
        default=DEFAULT_LISTEN,
        metavar="ADDRESS",
        help=f"address on which the broker inside this process listens; default: {DEFAULT_LISTEN}",
    )
    parser.add_argument(
        "--passwords",
        type=Path,
        metavar="FILE",
        help="users of the broker inside this process, a file written by mosquitto_passwd;"
        " default: anyone may connect",
    )
    add_link_options(parser)
    _add_rules(parser)


def _add_rules(parser: CommandParser) -> None:
    rules = parser.add_argument_group("rounds")
    rules.add_argument(
        "--deadline",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="time limit of a zeroth-order round; default: 60 s",
    )
    rules.add_argument(
        "--warmup-deadline",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="time limit of a warm-up round; default: 600 s",
    )
    rules.add_argument(
        "--quorum",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="share of a cohort that must answer, or the round changes nothing; default: 0.5",
    )
    rules.add_argument(
        "--clip",
        type=float,
        default=10.0,
        metavar="NUMBER",
        help="largest |dL| that is accepted from a client; default: 10",
    )
    rules.add_argument(
        "--wait-for",
        type=int,
        metavar="CLIENTS",
        help="number of clients that must be online before the first round; default: all",
    )
    rules.add_argument(
        "--chunk-kib",
        type=int,
        default=256,
        metavar="KIB",
        help="size of the chunks in which weights are sent, in KiB; default: 256",
    )
    rules.add_argument(
        "--keep-rounds",
        action="store_true",
        help="keep every round in the log instead of compacting it into snapshots",
    )
