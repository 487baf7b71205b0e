"""The pages of boards: what they tell an owner to install or to copy is what the product needs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from devices.commands import COMMANDS, command_file

ROOT = Path(__file__).parents[1]
BOARDS = ROOT / "docs" / "boards"
# The extra bench without torch's own two, and what only the tests and a discrete GPU need.
LEFT_OUT = {"torch", "torchvision", "tomli", "pytest-xdist", "hypothesis", "nvidia-ml-py"}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[><=;\[ ]", requirement)[0] for requirement in requirements}


def project() -> dict[str, Any]:
    loaded: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return loaded


def test_a_jetson_gets_every_package_of_the_suite_next_to_its_own_torch() -> None:
    page = (BOARDS / "jetson.md").read_text()
    (listed,) = re.findall(r"^pip install (numpy .*)$", page, flags=re.MULTILINE)
    needed = names([*project()["dependencies"], *project()["optional-dependencies"]["bench"]])

    assert set(listed.split()) == needed - LEFT_OUT


def test_the_page_of_the_raspberry_pi_writes_outputs_where_they_are_read() -> None:
    page = (BOARDS / "raspberry-pi.md").read_text()
    written = dict(re.findall(r"^(\w.*\S) > pi/(commands/\S+)", page, flags=re.MULTILINE))

    assert len(written) >= 4
    assert written == {command: command_file(command) for command in COMMANDS if command in written}
