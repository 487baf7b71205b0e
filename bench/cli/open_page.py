"""``--open``: show a written page in the browser."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path

from bench.cli import status_console


def add_open_option(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument("--open", action="store_true", help="open the report in the web browser")


def open_page(arguments: argparse.Namespace, page: Path) -> None:
    """Open a page if --open was given and the page exists; print its path if there is no browser.

    Args:
        arguments: parsed.
        page: path of the HTML file.
    """
    if not arguments.open or not page.exists():
        return
    if not webbrowser.open(page.resolve().as_uri()):
        status_console(arguments).print(f"no web browser found; the report is {page}")
