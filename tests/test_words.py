"""Plain words: what a person reads contains none of the patterns of words.txt."""

from __future__ import annotations

import argparse
import ast
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from bench.__main__ import build_parser

ROOT = Path(__file__).parents[1]
RECORDED = {ROOT / "docs" / "paper-results.md"}  # its labels are those of committed records
CODE = re.compile(r"```.*?```|`[^`]*`|\]\([^)]*\)", flags=re.DOTALL)


@cache
def patterns() -> list[tuple[re.Pattern[str], str]]:
    lines = (ROOT / "tests" / "words.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" => ", 1) for line in lines if line and not line.startswith("#")]
    return [
        (re.compile(rf"(?<!\w){bad}(?!\w)", flags=re.IGNORECASE), better) for bad, better in rows
    ]


def pages() -> Iterator[tuple[str, str]]:
    paths = [*ROOT.glob("*.md"), ROOT / "CITATION.cff", *(ROOT / "docs").rglob("*.md")]
    paths += [*(ROOT / "bench" / "report" / "templates").glob("*.jinja")]
    paths += [*(ROOT / ".github").rglob("*.md"), *(ROOT / ".github").rglob("*.yml")]
    paths += [*(ROOT / "results").glob("*.md"), *(ROOT / "findings").glob("*.md")]
    for path in sorted(set(paths) - RECORDED):
        yield str(path.relative_to(ROOT)), CODE.sub(" ", path.read_text(encoding="utf-8"))


def sources() -> list[str]:
    """What a person reads or calls first."""
    folders = ("bench/cli", "bench/report", "bench/compare", "bench/plan")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    paths += (ROOT / "zo_core").glob("*.py")
    return sorted(str(path.relative_to(ROOT)) for path in paths)


def words_of(source: str) -> str:
    """The docstrings, messages and comments of a module."""
    path = ROOT / source
    tree = ast.parse(path.read_text(encoding="utf-8"))
    strings = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant))
    with tokenize.open(path) as file:
        tokens = list(tokenize.generate_tokens(file.readline))
    comments = (token.string for token in tokens if token.type == tokenize.COMMENT)
    words = [*(s for s in strings if isinstance(s, str)), *comments]
    return CODE.sub(" ", " | ".join(words))


def help_texts(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    yield f"{parser.prog} --help", parser.format_help()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from help_texts(command)


def found_in(text: str) -> list[str]:
    flat = " ".join(text.split())
    return [
        f"{flat[max(0, match.start() - 30) : match.end() + 30]!r}: write {better}"
        for pattern, better in patterns()
        for match in pattern.finditer(flat)
    ]


@pytest.mark.parametrize(("name", "text"), [*pages()], ids=lambda value: value[:40])
def test_pages_use_plain_words(name: str, text: str) -> None:
    assert found_in(text) == [], name


@pytest.mark.parametrize("name", sources())
def test_sources_use_plain_words(name: str) -> None:
    assert found_in(words_of(name)) == []


@pytest.mark.parametrize(
    ("name", "text"), [*help_texts(build_parser())], ids=lambda value: value[:40]
)
def test_help_uses_plain_words(name: str, text: str) -> None:
    assert found_in(text) == [], name


def test_a_pattern_matches_whole_words_only() -> None:
    assert found_in("It goes on with frugal steps") != []
    assert found_in("the pathway and thence") == []
