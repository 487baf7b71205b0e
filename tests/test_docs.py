"""What the pages show runs: Python blocks as they stand, command lines by their parsers."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import algorithm_tables
import command_page
import pytest
from optional import needs_results

from bench.__main__ import build_parser, main

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
DOCS += [*sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "results").glob("README.md"))]
RUNNABLE = ("extending.md", "measure.md")  # whose Python blocks run on their own
COMMAND = re.compile(r"(?:\.venv/bin/)?(zobench .*)")
OWN_METHOD = "growing:growing"  # of a file that tests/bench/test_own_by_the_docs.py writes


def blocks(language: str) -> list[tuple[str, str]]:
    pattern = rf"```{language}\n(.*?)```"
    return [
        (page.name, code)
        for page in DOCS
        for code in re.findall(pattern, page.read_text(encoding="utf-8"), flags=re.DOTALL)
    ]


def command_lines() -> list[tuple[str, str]]:
    lines = [
        (name, line.strip())
        for name, code in blocks("sh")
        for line in code.replace("\\\n", " ").splitlines()
        if OWN_METHOD not in line
    ]
    in_tables = re.findall(r"`(zobench [^`]+)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    found = [(name, COMMAND.fullmatch(line)) for name, line in lines]
    return [(name, match[1]) for name, match in found if match] + [
        ("README.md", line) for line in in_tables
    ]


def readme_commands() -> list[str]:
    (first, *_) = [code for page, code in blocks("sh") if page == "README.md"]
    return [line.split("#")[0].strip() for line in first.splitlines()]


def test_the_arithmetic_of_table_1_runs() -> None:
    ((_, code),) = [block for block in blocks("python") if block[0] == "table1.md"]
    exec(code, {})


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_every_command_line_is_one_that_the_parser_takes(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text("")  # an earlier line of the page writes it
    words = shlex.split(line, comments=True)[1:]
    ends = (i for i, word in enumerate(words) if word in {">", ">>", "|", "&"})
    words = words[: next(ends, None)]
    build_parser().parse_args(words)


def test_the_page_of_commands_is_that_of_the_parsers() -> None:
    assert command_page.PAGE.read_text() == command_page.page(), f"run: {command_page.REFRESH}"


@needs_results
def test_every_link_between_the_pages_leads_to_a_file() -> None:
    for page in DOCS:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), (page.name, link)


@pytest.mark.parametrize("code", [code for page, code in blocks("python") if page in RUNNABLE])
def test_the_worked_examples_run(code: str) -> None:
    # a reader's file need not have the import from __future__ that this one has
    exec(compile(code, "example", "exec", dont_inherit=True), {"__name__": __name__})


def test_the_tables_of_algorithms_and_options_are_those_of_the_registry() -> None:
    page = algorithm_tables.PAGE.read_text(encoding="utf-8")
    assert page.count(": generated -->") == 2
    assert algorithm_tables.fill(page) == page, "run `make docs`"


def test_the_round_without_torch_runs(tmp_path: Path) -> None:
    """The block of edge.md, on an exported model."""
    folder = tmp_path / "exported"
    assert main(["export", "--model", "cnn", "--out", str(folder), "--quiet"]) == 0
    ((_, code),) = [block for block in blocks("python") if block[0] == "edge.md"]
    names: dict[str, Any] = {"folder": folder}
    exec(compile(code, "edge.md", "exec", dont_inherit=True), names)
    assert names["update"] is not None
    assert names["result"] is not None


def test_the_workflow_runs_the_readmes_commands() -> None:
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    assert [command for command in readme_commands() if command not in workflow] == []


def test_no_command_has_a_placeholder_for_an_address() -> None:
    pages = {page.name: page.read_text(encoding="utf-8") for page in DOCS}
    assert [name for name, text in pages.items() if "<this repository>" in text] == []
