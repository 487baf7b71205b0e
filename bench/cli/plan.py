"""``zobench plan``: predict time, energy, data and memory of a whole training on a device."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.cli import (
    EXIT_DONE,
    Group,
    add_command,
    print_json,
    refuse_unused,
    status_console,
    user_errors,
)
from bench.cli.config_options import default_pivot
from bench.extras import require
from bench.fit.target import THIS_MACHINE, Target, find_target, this_machine
from bench.format import MIB, format_hours
from bench.plan.bill import Bill, Figure, Speed, advice, bills
from bench.plan.measuring import measure_variants
from bench.plan.records import rounds_to, speed_from
from bench.plan.request import VARIANTS, Request, parse_link
from bench.records.typed_json import to_json
from zo_core.model_names import parse_model, with_input_shape

EXAMPLES = """\
  zobench plan --model cnn --items 26 --rounds 100 --link 10Mbit/s
  zobench plan --device pi-4-1gb --records results/my-pi --model resnet18 --items 900 --rounds 500
  zobench plan --model cnn --items 26 --to 0.9 --trained zobench-results/my-trainings
"""


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "plan", __doc__, EXAMPLES, group=Group.MEASURE)
    parser.add_argument(
        "--device",
        help="device of the catalogue (zobench devices --catalogue); default: this machine",
    )
    parser.add_argument(
        "--records",
        type=Path,
        metavar="DIR",
        help="records with step times of --device; times are unknown without them",
    )
    parser.add_argument(
        "--model",
        required=True,
        metavar="NAME",
        help="model: NAME, torchvision:NAME, timm:NAME, hf:FOLDER or package.module:factory",
    )
    parser.add_argument(
        "--input-shape",
        metavar="SHAPE",
        help="shape of one input of --model, e.g. 3,224,224; default: the model's own",
    )
    parser.add_argument(
        "--items", type=int, required=True, metavar="N", help="training items of each client"
    )
    parser.add_argument(
        "--link",
        metavar="RATE",
        help="rate of a client's link, e.g. 10Mbit/s; default: none",
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="number of rounds, all phases")
    parser.add_argument(
        "--to",
        type=float,
        metavar="ACCURACY",
        help="test accuracy in [0, 1] to which trainings of --trained give the number of rounds",
    )
    parser.add_argument(
        "--trained", type=Path, metavar="DIR", help="records of zobench train, for --to"
    )
    parser.add_argument(
        "--pivot", type=int, metavar="N", help="warm-up rounds; default: a quarter of --rounds"
    )
    parser.add_argument(
        "--clients", type=int, default=50, metavar="N", help="number of clients; default: 50"
    )
    parser.add_argument(
        "--split",
        default="10/90",
        metavar="HIGH/LOW",
        help="percent of high- and low-resource clients; default: 10/90",
    )
    parser.add_argument(
        "--warmup-cohort",
        type=int,
        default=10,
        metavar="N",
        help="maximum number of clients per round of local training; default: 10",
    )
    parser.add_argument(
        "--micro-batch",
        type=int,
        metavar="N",
        help="items per forward of zeroth-order steps; default: all items at once",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure a round of each variant here, and multiply."""
    console = status_console(arguments)
    with user_errors():
        _refuse_unused(arguments)
        target = this_machine() if arguments.device is None else find_target(arguments.device)
        request = _request(arguments)
        speed = _speed(arguments)
        require("torch")
    with user_errors(), console.status(Text(f"measuring rounds of {arguments.model}")):
        found = bills(request, measure_variants(request), speed)
    sentence = advice(found, target.limit_bytes, target.name)
    if arguments.json:
        bill_data = [to_json(bill) for bill in found]
        print_json({"device": target.name, "variants": bill_data, "advice": sentence})
        return EXIT_DONE
    output = Console(highlight=False, markup=False, emoji=False)
    output.print(_table(found, target))
    for line in _bases(found):
        output.print(line, soft_wrap=True)
    print(sentence)
    return EXIT_DONE


def _refuse_unused(arguments: argparse.Namespace) -> None:
    if arguments.device is None:
        refuse_unused(arguments, ["records"], "without --device: this machine is measured")
    if arguments.to is None:
        refuse_unused(arguments, ["trained"], "without --to")
    else:
        refuse_unused(arguments, ["pivot"], "with --to, whose trainings have their own")


def _request(arguments: argparse.Namespace) -> Request:
    from zo_core.data import parse_split

    model = with_input_shape(arguments.model, arguments.input_shape)
    parse_model(model)
    rounds, pivot = _rounds(arguments)
    high = round(parse_split(arguments.split) * arguments.clients)
    return Request(
        model=model,
        items=arguments.items,
        rounds=rounds,
        pivot=pivot,
        clients=arguments.clients,
        high=high,
        cohort=arguments.warmup_cohort,
        batch=64,
        epochs=3,
        directions=3,
        micro_batch=arguments.micro_batch,
        link_bits_per_s=None if arguments.link is None else parse_link(arguments.link),
    )


def _rounds(arguments: argparse.Namespace) -> tuple[dict[str, int | None], int]:
    """Return the rounds of each variant and ZOWarmUp's pivot, as given or by records."""
    if (arguments.rounds is None) == (arguments.to is None):
        raise ValueError("give --rounds N, or --to ACCURACY with --trained DIR")
    if arguments.rounds is not None:
        pivot = default_pivot(arguments.rounds) if arguments.pivot is None else arguments.pivot
        return dict.fromkeys(VARIANTS, arguments.rounds), pivot
    if arguments.trained is None:
        raise ValueError("--to needs --trained DIR, with records of zobench train")
    rounds, pivot_found = rounds_to(arguments.to, arguments.trained)
    return rounds, pivot_found or 0


def _speed(arguments: argparse.Namespace) -> Speed:
    if arguments.device is None:
        return Speed(factor=1.0)
    if arguments.records is None:
        return Speed(
            factor=None,
            basis=f"no step of {arguments.device} was timed: run `zobench run --only time` there "
            "and add --records DIR",
        )
    return speed_from(arguments.records)


def _table(found: list[Bill], target: Target) -> Table:
    limit = f"{target.limit_bytes / MIB:.0f} MiB free"
    name = "this machine" if target.name == THIS_MACHINE else target.name
    table = Table(title=f"{name}, {limit}", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for bill in found:
        longest = max(map(len, bill.label.split()))
        table.add_column(bill.label, justify="right", min_width=longest)
    rows = {
        "rounds": [str(bill.rounds) if bill.rounds is not None else "unknown" for bill in found],
        "client: compute": [_words(bill.client_compute_h, format_hours) for bill in found],
        "client: link": [_words(bill.client_link_h, format_hours) for bill in found],
        "client: data, MB": [_words(bill.client_mb) for bill in found],
        "client: energy, J": [_words(bill.client_joules) for bill in found],
        "client: peak memory, MiB": [_words(bill.peak_mib) for bill in found],
        "run: wall clock": [_words(bill.run_h, format_hours) for bill in found],
        "run: sum over clients": [_words(bill.run_device_h, format_hours) for bill in found],
        "run: data, MB": [_words(bill.run_mb) for bill in found],
        "run: energy, J": [_words(bill.run_joules) for bill in found],
    }
    for label, cells in rows.items():
        table.add_row(label, *cells)
    return table


def _words(figure: Figure, write: Callable[[float], str] = "{:.3g}".format) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return "unknown"
    low, middle, high = map(write, (figure.low, figure.value, figure.high))
    return middle if low == high else f"{middle} ({low} to {high})"


def _bases(found: list[Bill]) -> list[str]:
    """Write where each figure comes from, each basis once."""
    names = {
        **{"client_compute_h": "time", "client_mb": "data", "client_joules": "energy"},
        **{"peak_mib": "peak memory", "client_link_h": "link"},
    }
    lines: dict[str, None] = {}
    for name, label in names.items():
        for basis in dict.fromkeys(getattr(bill, name).basis for bill in found):
            lines[f"{label}: {basis}"] = None
    return list(lines)
