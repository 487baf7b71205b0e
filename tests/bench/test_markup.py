"""Names, paths and messages in square brackets are printed as they are: rich reads no markup."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from test_fit import cell

from bench.__main__ import main
from bench.cli.devices import _finding_table
from bench.compare.compare import Comparison, Row
from bench.compare.gate_result import GateResult, State
from bench.compare.table import terminal_table
from bench.records.gates import Gate
from devices.doctor import Diagnosis
from devices.finding import Finding

ROOT = Path(__file__).parents[2]


def calls_of(*names: str) -> list[str]:
    return [
        ast.unparse(call)
        for package in ("bench", "devices", "zo_core")
        for path in (ROOT / package).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in names
    ]


def test_markup_is_off_wherever_rich_would_read_it() -> None:
    """Read, it swallows the extra of ``pip install "zobench[bench]"`` and fails on ``[/x]``."""
    made = calls_of("Console", "TextColumn")
    assert len(made) >= 8
    assert [
        call for call in made if "markup=False" not in call and call != "TextColumn('left')"
    ] == []
    consoles = calls_of("Console")
    assert [call for call in consoles if "emoji=False" not in call] == []  # for module:factory:
    shown = calls_of("status", "Spinner")  # a string there is markup whatever the console
    assert [call for call in shown if "(Text(" not in call] == []
    assert calls_of("from_markup", "render_markup") == []


@pytest.mark.parametrize("name", ["zobench[bench]", "[red]cnn[/red]", "a[/b]"])
def test_tables_print_brackets(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    counted = replace(cell(90, 100, None), model=name, method=name)
    monkeypatch.setattr("bench.cli.fit.predict_cells", lambda *_: [counted])
    assert main(["fit", "--device", "1GiB", "--model", "cnn"]) == 0
    assert capsys.readouterr().out.count(name) == 2  # title and method
    console = Console(highlight=False, markup=False)
    found = Finding.of(name, name, "advice", name)
    console.print(_finding_table(Diagnosis(findings=(found,))))
    assert capsys.readouterr().out.count(name) == 3
    judged = GateResult(state=State.CHANGED, why=name)
    row = Row(
        case=f"memory/{name}",
        metric=name,
        unit="byte",
        gate=Gate.EXACT,
        old=1.0,
        new=2.0,
        judgement=judged,
    )
    compared = Comparison(
        rows=(row,),
        refused={f"memory/{name}": name},
        broken={},
        alone=(f"memory/{name}",),
        remarks=(name,),
    )
    console.print(terminal_table(compared, everything=True))
    assert capsys.readouterr().out.count(name) >= 6
