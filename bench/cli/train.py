"""``zobench train``: train a model on simulated clients and record accuracy, bytes and memory."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import devices
from bench.cli import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    Group,
    add_command,
    print_json,
    refuse_unused,
    status_console,
    user_errors,
)
from bench.cli.config_file import to_toml
from bench.cli.config_options import add_config_options, chosen_config, words_for_none
from bench.cli.no_effect import without_effect
from bench.cli.threads import add_threads_option, chosen_threads, describe_threads
from bench.cli.train_instruct import run_instruct
from bench.cli.train_progress import describe, showing_progress, stopping_on_interrupt
from bench.cli.trained_weights import write_weights
from bench.format import format_split
from bench.records.case_name import CaseName, name_part, split_part
from bench.records.details.training import TrainDetails
from bench.records.record import Record, provenance
from bench.records.store import open_store, record_path, write_record
from bench.records.training_metrics import train_details, training_metrics
from bench.records.typed_json import to_json
from bench.suite.folder import new_folder
from bench.suite.preflight import DEVICE_TYPES, choose_device
from zo_core.kernels import default_kernel

EXAMPLES = """\
  zobench train                                  ZOWarmUp on digits, 10 % high-resource clients
  zobench train --algorithm high-res-only --split 50/50
  zobench train --rounds 100 --run-seed 3 --out my-run
  zobench train --dry-run > run.toml             write all options to a file, without training
  zobench train --config run.toml --rounds 20    train with the options of a file
  zobench train --checkpoints saved --resume     continue after an interruption
  zobench train --task instruct --data-dir DIR   fine-tune a language model with FedKSeed, MeZO and
                                                 FedAvg, about an hour on one core
"""
_SAVE_EVERY = 20
_WITHOUT_TASK = "without --task: one training run has one --run-seed"
_OF_THE_RUN = (  # options besides the config's that --dry-run writes if they are given
    *("data_dir", "download", "no_verify"),
    *("checkpoints", "checkpoint_every", "resume", "out"),
)


def register(commands: Any) -> None:
    """Add the sub-command's parser: one option for each field of the config."""
    parser = add_command(commands, "train", __doc__, EXAMPLES, group=Group.TRAIN)
    parser.add_argument(
        "--task",
        choices=("instruct",),
        help="run this study, with several methods and seeds, instead of a single training run",
    )
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="number of runs per method of --task; default: 3"
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="folder with the files of data sets"
    )
    parser.add_argument(
        "--download", action="store_true", help="download the data set if its files are missing"
    )
    parser.add_argument(
        "--no-verify", action="store_true", help="accept data files with different checksums"
    )
    parser.add_argument(
        "--device",
        choices=DEVICE_TYPES,
        default="cpu",
        help="device that trains; auto: cuda if available; default: cpu",
    )
    add_threads_option(parser)
    parser.add_argument(
        "--checkpoints",
        type=Path,
        metavar="DIR",
        help="save the run in this folder; default: do not save",
    )
    parser.add_argument(
        "--checkpoint-every",
        type=int,
        metavar="ROUNDS",
        help=f"number of rounds between two checkpoints; default: {_SAVE_EVERY}",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the run saved in --checkpoints, or start it if there is none",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the record; may contain records of other runs; default: "
        "zobench-results/<time>",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print all options as a file for --config, without training",
    )
    add_config_options(parser, forward="auto")  # the library's default is reproducible, not fastest
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, show progress, store the record."""
    if arguments.task is not None:
        return run_instruct(arguments)
    if arguments.dry_run:
        return _print_options(arguments)
    with user_errors():
        refuse_unused(arguments, ["seeds"], _WITHOUT_TASK)
        training, unused = _training(arguments)
        _prepare_checkpoints(training, arguments)
        folder = _folder(arguments.out, _case(training.config.to_json()))
    console = status_console(arguments)
    about = training.record
    console.print(describe_threads(about.threads, about.threads_trial_s))
    for remark in (*unused, *about.remarks, *about.warnings):
        console.print(f"warning: {remark}", soft_wrap=True)
    before = set(about.warnings)
    saving = arguments.checkpoints is not None
    with (
        showing_progress(console, training.schedule.rounds) as show,
        stopping_on_interrupt(console.print) if saving else nullcontext(_never) as stop,
        devices.measure() as region,
    ):
        record = training.run(
            show,
            save=_saving(training, arguments.checkpoints),
            save_every=arguments.checkpoint_every or _SAVE_EVERY,
            stop=stop,
        )
    if record.outcome == "finished" and not training.is_done:
        console.print(
            f"stopped after round {record.rounds_done} and saved; run the same command with "
            "--resume to continue"
        )
        return EXIT_INTERRUPTED
    details = replace(train_details(record, region.to_json()), label=training.label)
    made = _as_record(details, default_kernel(choose_device(arguments.device)))
    path = write_record(folder, made)
    weights = write_weights(training, folder, made)
    if arguments.json:
        print_json(made.to_json())
    else:
        print(describe(record))
    for warning in set(record.warnings) - before:
        console.print(f"warning: {warning}", soft_wrap=True)
    if record.reason is not None:
        console.print(f"diverged: {record.reason}")
    if record.verdict == "did not converge":
        console.print(
            f"did not converge: {100 * record.holdout_accuracy:.1f} % over the clients' hold-outs, "
            f"where guessing stays below {100 * record.chance_level:.1f} %",
            soft_wrap=True,
        )
    console.print(f"digest {record.digest}\nrecord {path}\nweights {weights}", soft_wrap=True)
    return 0


def _training(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    """Check all options before anything runs; list those without effect."""
    from zo_core.data import load_dataset, needs_files
    from zo_core.federation.simulation.training import Training

    config = chosen_config(arguments)
    if not needs_files(config.dataset):
        because = f"on {config.dataset}, which needs no files"
        refuse_unused(arguments, ["data_dir", "download", "no_verify"], because)
    device = choose_device(arguments.device)
    threads = chosen_threads(arguments)
    dataset = load_dataset(
        config.dataset,
        data_dir=arguments.data_dir,
        download=arguments.download,
        verify=not arguments.no_verify,
    )
    training = Training(config, dataset, device=device, threads=threads)
    return training, without_effect(arguments, config, dataset)


def _print_options(arguments: argparse.Namespace) -> int:
    """Print the options of a run as a file for --config, or as JSON."""
    with user_errors():
        refuse_unused(arguments, ["seeds"], _WITHOUT_TASK)
        config = chosen_config(arguments)
        threads = chosen_threads(arguments)
    values = config.to_json() | {"device": arguments.device}
    values |= {"threads": None if threads == "auto" else threads}
    given = {name: getattr(arguments, name) for name in _OF_THE_RUN}
    values |= {
        name: str(value) if isinstance(value, Path) else value
        for name, value in given.items()
        if value is not None and value is not False
    }
    absent = {"threads": "chosen by a short trial", **words_for_none(config)}
    print_json(values) if arguments.json else print(to_toml(values, absent), end="")
    return EXIT_DONE


def _prepare_checkpoints(training: Any, arguments: argparse.Namespace) -> None:
    """Resume a run if asked to; refuse to overwrite one that is not being resumed."""
    from zo_core.federation.simulation.run_checkpoint import resume_

    if arguments.checkpoints is None:
        refuse_unused(arguments, ["checkpoint_every"], "without --checkpoints DIR")
    if arguments.checkpoint_every is not None and arguments.checkpoint_every < 1:
        raise ValueError(f"checkpoint_every must be >= 1, got {arguments.checkpoint_every}")
    folder = arguments.checkpoints
    if arguments.resume and folder is None:
        raise ValueError("--resume needs --checkpoints DIR, the folder of the run to continue")
    if folder is None:
        return
    if not arguments.resume and any(folder.glob("checkpoint.json")):
        raise ValueError(f"{folder} contains a run already; add --resume or choose another folder")
    if arguments.resume:
        resume_(training, folder)


def _saving(training: Any, folder: Path | None) -> Callable[[], None] | None:
    from zo_core.federation.simulation.run_checkpoint import save

    return None if folder is None else partial(save, training, folder)


def _folder(out: Path | None, case: CaseName) -> Path:
    """Open the folder for a case's record, by default a new one; never one that contains it."""
    folder = new_folder() if out is None else out
    while out is None and folder.exists():  # a run that started in the same second
        time.sleep(0.1)
        folder = new_folder()
    if record_path(folder, case).exists():
        raise ValueError(
            f"--out must not contain a record of {case}, got {folder}; choose another folder, or "
            "leave it out for a new one"
        )
    return open_store(folder)


def _case(config: Mapping[str, Any]) -> CaseName:
    """Name a training by what people vary; the record's config contains all other options."""
    trained = "-".join(name_part(config[name]) for name in ("algorithm", "dataset", "model"))
    split = split_part(format_split(config["high_share"]))
    return CaseName.of("train", trained, split, f"seed-{config['run_seed']}")


def _as_record(run: TrainDetails, zo_kernel: str) -> Record:
    config = run.config
    return Record(
        case=str(_case(config)),
        group="train",
        case_version=2,
        status="ok" if run.outcome == "finished" else run.outcome,
        config={**config, "threads": run.threads},
        metrics=training_metrics([run]),
        details=to_json(run),
        error=run.reason,
        provenance=provenance("train", devices.detect().to_json(), zo_kernel=zo_kernel),
    )


def _never() -> bool:
    return False
