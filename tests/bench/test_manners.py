"""Every sub-command speaks the same way: help with an example, JSON, quiet, verbose, exit codes."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from bench.__main__ import build_parser, main
from bench.cli import MissingRequirementError, UsageError, check


def parsers() -> dict[str, argparse.ArgumentParser]:
    (commands,) = (
        action
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return dict(commands.choices)


@pytest.mark.parametrize("name", parsers())
def test_help_shows_an_example_and_the_options_that_all_have(name: str) -> None:
    text = parsers()[name].format_help()
    assert f"zobench {name}" in text[text.index("examples:") :]
    for option in ("--json", "--quiet", "--verbose"):
        assert option in text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("an argument"), 2),
        (MissingRequirementError("a library"), 3),
        (ModuleNotFoundError("a library"), 3),
        (OSError("no space left"), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(arguments: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(check, "run", fails)
    assert main(["check", str(Path())]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("zobench: ")
    assert told.err.count("\n") == 1
