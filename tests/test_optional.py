"""Tests reach what the README's install leaves out in one way: ``needs`` of tests/helpers."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from expected_skips import read_list
from optional import EXTRAS, ROOT, TOOLS, needs, optional_imports, why_missing

from bench.cli.config_file import parse_toml
from bench.extras import EXTRAS as ALL_EXTRAS
from bench.extras import missing_package

TESTS = Path(__file__).parent
HELPER = TESTS / "helpers" / "optional.py"
FILES = sorted(path for path in TESTS.rglob("*.py") if path != HELPER)
OTHER_WAYS = {"importorskip", "find_spec", "which"}  # calls that look for packages and tools


def named_marks(tree: ast.Module) -> dict[str, set[str]]:
    """What each name that the module assigns at its top level needs."""
    return {
        ast.unparse(target): needed_in(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
    }


def needed_in(node: ast.AST) -> set[str]:
    """The names in the calls of ``needs`` in a piece of code."""
    return {
        argument.value
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "needs"
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }


def undeclared(tree: ast.Module) -> Iterator[str]:
    """Describe each import of an optional package that no mark of its test names."""
    marks = named_marks(tree)
    whole_module = marks.get("pytestmark", set())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            declared = {name for each in node.decorator_list for name in needed_in(each)}
            declared |= {
                n for each in node.decorator_list for n in marks.get(ast.unparse(each), ())
            }
            missing = set(optional_imports(node)) - declared - whole_module
        else:
            missing = set(optional_imports(node))
        yield from (f"line {node.lineno}: {name}" for name in sorted(missing))


def other_ways(tree: ast.Module) -> Iterator[str]:
    """Describe each call that looks for an optional package or tool, whoever makes it."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        function = ast.unparse(call.func).rpartition(".")[2]
        first = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
        named = str(first or "").split(".")[0]
        is_known = first is None or named in EXTRAS or first in TOOLS
        is_free = function in ("which", "find_spec") and not is_known
        if function in OTHER_WAYS and not is_free:
            yield f"line {call.lineno}: {function}"
        elif function in ("import_module", "__import__") and named in EXTRAS:
            yield f"line {call.lineno}: {function}({first!r})"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_optional_packages_are_imported_behind_needs_only(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [*undeclared(tree), *other_ways(tree)] == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import transformers", "line 1: transformers"),
        ("def test_a():\n    import tokenizers.models", "line 1: tokenizers"),
        ('@needs("ray")\ndef test_a():\n    import flwr', "line 2: flwr"),
        ('x = pytest.importorskip("torch")', "line 1: importorskip"),
        ('x = importlib.util.find_spec("peft")', "line 1: find_spec"),
        ('x = shutil.which("mosquitto")', "line 1: which"),
        ("x = shutil.which(name)", "line 1: which"),
        ('x = importlib.import_module("ray.util")', "line 1: import_module('ray.util')"),
        ('@needs("ray")\ndef test_a():\n    import ray', None),
        ('N = needs("ray")\n@N\ndef test_a():\n    import ray', None),
        ('pytestmark = [needs("ray")]\ndef test_a():\n    from ray import x', None),
        ('import torch\nx = shutil.which("mount")', None),
    ],
)
def test_the_law_sees_every_other_way(code: str, expected: str | None) -> None:
    tree = ast.parse(code)
    found = [*undeclared(tree), *other_ways(tree)]
    assert found == ([] if expected is None else [expected])


def test_every_extra_is_one_of_the_projects() -> None:
    project = parse_toml((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(ALL_EXTRAS.values()) <= set(project["optional-dependencies"])


def test_a_name_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="got \\['tokenizer'\\]"):
        needs("tokenizer")


def test_the_reason_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    why_missing.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    try:
        reason = 'tokenizers is not installed: pip install "zobench[llm]"'
        assert why_missing("tokenizers") == reason
        assert why_missing("chromium") == "chromium is not installed: apt-get install chromium"
    finally:
        why_missing.cache_clear()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ModuleNotFoundError("No module named 'torch'", name="torch"), '"zobench[bench]"'),
        (ModuleNotFoundError("No module named 'ray.util'", name="ray.util"), '"zobench[cluster]"'),
        (ModuleNotFoundError("No module named 'mine'", name="mine"), "No module named 'mine'"),
        (ModuleNotFoundError("plots need matplotlib: do this"), "plots need matplotlib: do this"),
    ],
)
def test_a_missing_package_is_one_line_that_names_the_extra(
    error: ModuleNotFoundError, expected: str
) -> None:
    assert missing_package(error).endswith(expected)


def test_the_lists_of_expected_skips_name_tests_that_exist() -> None:
    lists = sorted((TESTS / "expected_skips").glob("*.txt"))
    assert lists
    for each in lists:
        for test, _ in read_list(each):
            path, _, function = re.sub(r"\[.*", "", test).partition("::")
            assert f"def {function}" in (TESTS.parent / path).read_text(encoding="utf-8"), test


def run_with_list(folder: Path, lines: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one skipping test with this suite's conftest.py and a list."""
    tests = folder / "tests"
    (tests / "helpers").mkdir(parents=True)
    helpers = (f"helpers/{name}.py" for name in ("optional", "expected_skips", "long_tests"))
    for name in ("conftest.py", "long_tests.txt", *helpers):
        (tests / name).write_bytes((TESTS / name).read_bytes())
    skipping = "import pytest\n\ndef test_one():\n    pytest.skip('no such luck')\n"
    (tests / "test_one.py").write_text(skipping)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = optional\n")
    (folder / "list.txt").write_text(lines)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "tests", *words]
    return subprocess.run(
        [*command, "--expected-skips", "list.txt"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.process
@pytest.mark.parametrize(
    ("lines", "exit_code"),
    [
        ("# none\n", 1),
        ("tests/test_one.py: no such luck\n", 0),
        ("tests/test_one.py::test_one: no luck\n", 1),
        ("tests/test_two.py: no such luck\n", 1),
        ("tests/test_one.py\n", 4),
    ],
)
def test_a_skip_that_is_not_in_the_list_fails_the_run(
    tmp_path: Path, lines: str, exit_code: int
) -> None:
    done = run_with_list(tmp_path, lines)
    assert done.returncode == exit_code, done.stdout + done.stderr
    is_listed = "tests/test_one.py::test_one: no such luck" in done.stdout
    assert is_listed == (exit_code == 1)


@pytest.mark.process
def test_the_list_is_checked_once_for_all_workers(tmp_path: Path) -> None:
    done = run_with_list(tmp_path, "# none\n", "-n", "1")
    assert done.returncode == 1
    assert done.stdout.count("test_one: no such luck") == 1
