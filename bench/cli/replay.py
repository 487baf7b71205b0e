"""``zobench replay``: rebuild fine-tuned weights from the base weights and the log of a run.

Reads and writes safetensors files. Needs neither torch nor the model's code. The log is what
zo_core.torch.ZOSGD's log().save(FILE) wrote.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.cli import EXIT_DONE, Group, add_command, print_json, status_console, user_errors

EXAMPLES = """\
  zobench replay model.safetensors tune.zolog --out tuned.safetensors
  zobench replay model.safetensors tune.zolog --out at-100.safetensors --steps 100
"""


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "replay", __doc__, EXAMPLES, group=Group.TRAIN)
    parser.add_argument(
        "base", type=Path, metavar="BASE", help="weights before the run, a float32 safetensors file"
    )
    parser.add_argument("log", type=Path, metavar="LOG", help="log of the run")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="where to write the weights"
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="stop after N steps; default: all steps of the log"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Rebuild, write and report."""
    from zo_core import UpdateLog, replay
    from zo_core.edge.weights_file import read_tensors

    with user_errors():
        log = UpdateLog.load(arguments.log)
        tensors = read_tensors(arguments.base)
        about = _metadata(arguments.base)
        replay(tensors, log, steps=arguments.steps)
    _write(tensors, arguments.out, about)
    taken = log.num_steps if arguments.steps is None else arguments.steps
    if arguments.json:
        print_json({"steps": taken, "tensors": len(log.header.names), "out": str(arguments.out)})
    else:
        status_console(arguments).print(
            f"{arguments.out}: {taken} of {log.num_steps} steps on {len(log.header.names)} tensors"
        )
    return EXIT_DONE


def _metadata(path: Path) -> dict[str, str]:
    """Read a safetensors file's notes; transformers needs its own to load the weights."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return dict(file.metadata() or {})


def _write(tensors: Any, path: Path, about: dict[str, str]) -> None:
    """Write the file whole or not at all."""
    from safetensors.numpy import save_file

    from zo_core.whole_files import whole_file

    with whole_file(path) as part:
        save_file(tensors, part, metadata=about or None)
