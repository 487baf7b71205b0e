"""``zobench devices``: this machine, its meters, and which kernels work on it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from rich.console import Console
from rich.table import Table

import devices


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = commands.add_parser(
        "devices", help="show this device, its meters and kernels", description=__doc__
    )
    parser.add_argument("--json", action="store_true", help="print the profile as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the device profile and the kernels."""
    profile = devices.detect().to_json()
    if arguments.json:
        print(json.dumps(profile, indent=1))
        return 0
    console = Console(highlight=False)
    console.print(_profile_table(profile))
    console.print(_kernel_table())
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


def _kernel_table() -> Table:
    from zo_core import kernels

    table = Table("kernel", "in use", "why", title="kernels", title_justify="left")
    for name, available, reason in kernels.describe():
        table.add_row(name, "yes" if available else "no", reason)
    return table
