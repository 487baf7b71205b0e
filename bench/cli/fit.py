"""``zobench fit``: predict which training steps fit in a device's memory, and try them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

import devices
from bench.cli import (
    EXIT_DONE,
    EXIT_GATE,
    Group,
    add_command,
    print_json,
    refuse_unused,
    status_console,
    user_errors,
)
from bench.cli.fit_table import show, trial_words
from bench.extras import require
from bench.fit.cells import Cell, agreement
from bench.fit.measuring import predict_cells, try_cell
from bench.fit.record import GRID, fit_record
from bench.fit.target import Target, decimal_remark, find_target, this_machine
from bench.format import MIB
from bench.records.case_name import CaseName
from bench.records.store import open_store, write_record
from bench.records.typed_json import to_json
from bench.sizes import parse_size
from bench.suite.preflight import check_model
from bench.workloads.steps import STEP_METHODS
from zo_core.model_names import model_label, with_input_shape

EXAMPLES = """\
  zobench fit                                              this machine, five models
  zobench fit --device pi-zero-2                           a device of the catalogue
  zobench fit --device 512MiB --model resnet18 --measure   also run under that limit
  zobench fit --device 1GiB --model my.models:tiny --input-shape 3,32,32 --batches 1,16
  zobench fit --grid --out results/fit                     5 models, 5 batch sizes, 3 methods and
                                                           3 devices, all measured, in 15 minutes
"""
GRID_MODELS = (
    "resnet18",
    "vit",
    "cnn",
    "torchvision:mobilenet_v3_small",
    "torchvision:resnet18",
)
GRID_DEVICES = ("pi-zero-2", "pi-4-1gb", "pi-4-4gb")  # 512 MiB, 1 GiB, 4 GiB
GRID_BATCHES = (1, 8, 32, 64, 128)
_BATCHES = "1,8,32,64"
_CHOICES = ("device", "reserve", "model", "input_shape", "batches", "images", "measure")
_GRID_WORKERS = 2  # trials side by side: a third of each is a library's import, on one core


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "fit", __doc__, EXAMPLES, group=Group.MEASURE)
    parser.add_argument(
        "--device",
        help="device of the catalogue (zobench devices --catalogue), or a size of memory such as"
        " 512MiB; default: this machine",
    )
    parser.add_argument(
        "--reserve",
        metavar="SIZE",
        help="memory kept for the operating system and other programs, e.g. 200MiB; default: what"
        " is in use on this machine, 150 MiB on boards of the catalogue (2 GiB on laptops and"
        " phones), 0 if --device is a size",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="model: NAME, torchvision:NAME, timm:NAME, hf:FOLDER or package.module:factory;"
        " default: five models",
    )
    parser.add_argument(
        "--input-shape",
        metavar="SHAPE",
        help="shape of one input of --model, e.g. 3,224,224; default: the model's own",
    )
    parser.add_argument(
        "--batches", metavar="LIST", help=f"batch sizes, comma-separated; default: {_BATCHES}"
    )
    parser.add_argument(
        "--images",
        type=int,
        metavar="N",
        help="number of items that one step processes in micro-batches, e.g. 900; default: one"
        " batch",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="also run each step under a memory limit that the kernel enforces",
    )
    parser.add_argument(
        "--grid", action="store_true", help="measure a fixed grid of models, batches and devices"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the record; default: no record"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict, measure if asked to, and print."""
    with user_errors():
        require("torch")  # the children that count tensors import it
        targets, models, batches = _chosen(arguments)
        folder = open_store(arguments.out) if arguments.out else None
    console = status_console(arguments)
    for text in (arguments.device, arguments.reserve):
        if text and (remark := decimal_remark(text)):
            console.print(remark)
    if arguments.measure or arguments.grid:
        for target in targets:
            if reason := devices.why_no_limit(target.limit_bytes):
                console.print(f"{target.name}: cannot be measured here: {reason}", soft_wrap=True)
    cells = _cells(targets, models, batches, arguments, console)
    case = GRID if arguments.grid else _case(targets[0], models, arguments.images)
    if arguments.json:
        print_json(to_json([cell.details() for cell in cells]))
    else:
        output = Console(highlight=False, markup=False, emoji=False)
        show(output, cells, everything=arguments.verbose)
    if folder is not None:
        path = write_record(folder, fit_record(case, cells, devices.detect().to_json()))
        console.print(f"record {path}", soft_wrap=True)
    has_answer = not (arguments.measure or arguments.grid) or agreement(cells).cells
    return EXIT_DONE if has_answer else EXIT_GATE


def _chosen(arguments: argparse.Namespace) -> tuple[list[Target], list[str], list[int]]:
    """Check all options before anything runs."""
    if arguments.grid:
        refuse_unused(arguments, _CHOICES, "with --grid, which is fixed")
        return [find_target(name) for name in GRID_DEVICES], list(GRID_MODELS), list(GRID_BATCHES)
    if arguments.model is None and arguments.input_shape is not None:
        raise ValueError("--input-shape is the shape of --model's input: add --model")
    models = list(GRID_MODELS)
    if arguments.model is not None:
        methods = STEP_METHODS if arguments.measure else ()
        models = [check_model(with_input_shape(arguments.model, arguments.input_shape), methods)]
    if arguments.images is not None and arguments.images < 1:
        raise ValueError(f"--images must be >= 1, got {arguments.images}")
    reserve = None if arguments.reserve is None else parse_size(arguments.reserve, "--reserve")
    batches = _BATCHES if arguments.batches is None else arguments.batches
    device = arguments.device
    target = this_machine(reserve) if device is None else find_target(device, reserve)
    return [target], models, _parse_batches(batches)


def _parse_batches(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"--batches must be whole numbers > 0, e.g. 1,8,32, got {text!r}")
    return sorted({int(part) for part in parts})


def _cells(
    targets: Sequence[Target],
    models: Sequence[str],
    batches: Sequence[int],
    arguments: argparse.Namespace,
    console: Console,
) -> list[Cell]:
    cells = []
    for model in models:
        with user_errors(), console.status(Text(f"counting {model}")):
            found = predict_cells(targets, model, STEP_METHODS, batches, arguments.images)
        if arguments.measure or arguments.grid:
            workers = _GRID_WORKERS if arguments.grid else 1
            found = _try_all(found, workers, lambda words: console.print(words, soft_wrap=True))
        cells += found
    return cells


def _try_all(cells: Sequence[Cell], workers: int, log: Callable[[str], None]) -> list[Cell]:
    tried = []
    with devices.IsolatedPool(workers) as pool:
        for cell, trial in zip(cells, pool.map(try_cell, cells), strict=True):
            done = replace(cell, trial=trial)
            tried.append(done)
            log(
                f"{done.device}, {done.model}, {done.method}, batch {done.batch}: "
                f"predicted {done.predicted_bytes / MIB:.0f} MiB; {trial_words(done)}"
            )
    return tried


def _case(target: Target, models: Sequence[str], images: int | None) -> CaseName:
    model = [model_label(models[0])] if len(models) == 1 else []
    size = [f"{images}-images"] if images else []
    return CaseName.of("fit", target.name, *model, *size)
