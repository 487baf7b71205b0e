"""``zobench devices``: this machine, its meters, the kernels in use, and known devices."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console
from rich.table import Table

import devices
from bench.cli import add_command, print_json

EXAMPLES = """\
  zobench devices                what this machine is, its meters and kernels
  zobench devices --catalogue    the known devices as well
  zobench devices --json         the profile that each record carries (and the catalogue)
"""


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "devices", __doc__, EXAMPLES)
    parser.add_argument("--catalogue", action="store_true", help="show the known devices as well")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the device profile and the kernels."""
    profile = devices.detect().to_json()
    if arguments.json:
        known = {name: spec.to_json() for name, spec in devices.CATALOG.items()}
        print_json(profile | ({"catalogue": known} if arguments.catalogue else {}))
        return 0
    console = Console(highlight=False)
    console.print(_profile_table(profile))
    console.print(_meter_table())
    console.print(_kernel_table())
    if arguments.catalogue:
        console.print(_catalogue_table())
    return 0


def _profile_table(profile: dict[str, Any]) -> Table:
    table = Table("property", "value", title="this device", title_justify="left")
    for name, value in profile.items():
        if name in ("notes", "sources"):
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items()) or None
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
