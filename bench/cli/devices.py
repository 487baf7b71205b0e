"""``zobench devices``: show this machine, its meters and kernels, and check its set-up."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import devices
from bench.cli import (
    EXIT_DONE,
    EXIT_GATE,
    Group,
    UsageError,
    add_command,
    print_json,
    refuse_unused,
    user_errors,
)
from devices.commands import COMMANDS, HERE, command_file
from devices.doctor import Diagnosis, diagnose
from devices.finding import Finding
from devices.host import instruction_set

EXAMPLES = """\
  zobench devices                this machine, its meters and kernels
  zobench devices --check        what is not set up for a run, and how to fix it
  zobench devices --root TREE    the same for a board, from copies of its files
  zobench devices --catalogue    also the known devices
  zobench devices --json         the device profile, as in every record
"""
_OUTPUTS = ", ".join(command_file(command) for command in COMMANDS)


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "devices", __doc__, EXAMPLES, group=Group.MEASURE)
    parser.add_argument("--catalogue", action="store_true", help="also list the known devices")
    parser.add_argument(
        "--check",
        action="store_true",
        help="test everything that a run uses; exit code 1 if something will not work",
    )
    parser.add_argument(
        "--root",
        default=str(HERE),
        metavar="TREE",
        help="folder with copies of a board's /proc, /sys and /etc, and of the outputs of commands "
        f"({_OUTPUTS}); default: {HERE}, this machine",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the device profile, meters and kernels, or the findings of the checks."""
    root = Path(arguments.root)
    if not root.is_dir():
        raise UsageError(f"--root must be a folder with a board's files, got {arguments.root!r}")
    if arguments.check:
        with user_errors():
            refuse_unused(arguments, ["catalogue"], "with --check")
        return _check(root, as_json=arguments.json)
    profile = devices.detect(root).to_json()
    if arguments.json:
        known = {name: spec.to_json() for name, spec in devices.CATALOG.items()}
        print_json(profile | ({"catalogue": known} if arguments.catalogue else {}))
        return EXIT_DONE
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(_profile_table(profile, "this device" if root == HERE else f"device of {root}"))
    if root == HERE:
        console.print(_meter_table())
        console.print(_kernel_table())
    if arguments.catalogue:
        console.print(_catalogue_table())
    return EXIT_DONE


def _check(root: Path, *, as_json: bool) -> int:
    diagnosis = diagnose(root)
    if root == HERE:
        diagnosis = Diagnosis(findings=(*diagnosis.findings, _kernel_finding()))
    if as_json:
        print_json(diagnosis.to_json())
    elif diagnosis.findings:
        Console(highlight=False, markup=False, emoji=False).print(_finding_table(diagnosis))
    else:
        print(f"nothing to check: {root} contains none of the files that the checks read")
    return EXIT_GATE if diagnosis.has_problems else EXIT_DONE


def _kernel_finding() -> Finding:
    from zo_core import kernels

    known = {name: (available, reason) for name, available, reason in kernels.list_kernels()}
    available, reason = known["c"]
    return Finding.of(
        "C kernels",
        f"in use: {instruction_set()}" if available else f"not used: {reason}",
        None if available else "advice",
        "install a C compiler (sudo apt install gcc) and reinstall zobench; NumPy does the same"
        " several times slower",
    )


def _finding_table(diagnosis: Diagnosis) -> Table:
    table = Table("check", "state", "found", "what to do", title="checks", title_justify="left")
    for finding in diagnosis.findings:
        table.add_row(finding.check, finding.state, finding.found, finding.remedy or "")
    return table


def _profile_table(profile: dict[str, Any], title: str) -> Table:
    table = Table("property", "value", title=title, title_justify="left")
    for name, value in profile.items():
        if name in ("notes", "sources"):
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items() if v is not None) or None
        table.add_row(name, profile["notes"].get(name, "unknown") if value is None else str(value))
    return table


def _meter_table() -> Table:
    table = Table("quantity", "method", "trust", "remark", title="meters", title_justify="left")
    for meter in devices.list_meters():
        table.add_row(meter.quantity, meter.method, meter.trust, meter.remark)
    return table


def _catalogue_table() -> Table:
    table = Table("device", "memory", "processor", "torch", title="catalogue", title_justify="left")
    for name, spec in devices.CATALOG.items():
        memory = "" if spec.memory_bytes is None else f"{spec.memory_bytes / 2**30:.1f} GiB"
        table.add_row(name, memory, spec.soc or "", spec.torch_wheel or "")
    return table


def _kernel_table() -> Table:
    from zo_core import kernels

    table = Table("kernel", "in use", "why", title="kernels", title_justify="left")
    for name, available, reason in kernels.list_kernels():
        table.add_row(name, "yes" if available else "no", reason)
    return table
