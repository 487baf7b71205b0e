"""Every option of every command has a meaning, its choices and its default in the help."""

from __future__ import annotations

import argparse
import re

import pytest
from test_manners import parsers

from bench.cli.parser import Group

WORDS = 2  # of a meaning, at least


def options() -> list[tuple[str, argparse.Action]]:
    return [
        (f"{name} {'/'.join(action.option_strings) or action.dest}", action)
        for name, parser in parsers().items()
        for action in parser._actions
    ]


def test_every_option_has_a_meaning() -> None:
    for name, action in options():
        meaning = (action.help or "").partition("default")[0]
        assert len(re.findall(r"[A-Za-z]{2,}", meaning)) >= WORDS, name


def test_an_option_with_a_default_names_it() -> None:
    for name, action in options():
        is_switch = action.nargs == 0 and not isinstance(action, argparse.BooleanOptionalAction)
        if is_switch or action.default in (None, argparse.SUPPRESS):
            continue
        text = str(action.help).rpartition("default: ")[2]
        written = str(action.default)
        if isinstance(action.default, bool):
            written = "on" if action.default else "off"
        assert text.removesuffix(" s").startswith((written, f"{written}".removesuffix(".0"))), name


def test_an_option_with_choices_lists_them() -> None:
    for name, action in options():
        missing = [c for c in action.choices or () if str(c) not in str(action.help)]
        assert action.metavar is None or not missing, name


def test_a_value_has_a_short_name() -> None:
    """``--rounds N``, not ``--checkpoint-every CHECKPOINT_EVERY``."""
    for name, action in options():
        if action.option_strings and action.nargs != 0 and not action.choices:
            assert len(str(action.metavar or action.dest)) <= 13, name
            assert "_" not in str(action.metavar or action.dest), name


@pytest.mark.parametrize("name", parsers())
def test_every_command_has_a_group_and_begins_with_a_verb(name: str) -> None:
    parser = parsers()[name]
    assert isinstance(parser.group, Group)  # type: ignore[attr-defined]
    first = str(parser.description).split()[0]
    assert first[0].isupper()
    assert not re.match(r"(A|An|The|This|Which|Whether|How)$", first)
