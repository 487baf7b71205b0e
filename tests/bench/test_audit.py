"""``zobench audit``: each planted fault is found, and steps without a fault raise no alarm."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import audit_cases
import pytest
import torch
import unusual_steps
from optional import needs

from bench.__main__ import main
from bench.audit import AuditCase, Report, audit

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "audit.md"
EXAMPLES = ROOT / "examples" / "audits"
FINDINGS = sorted((ROOT / "findings").glob("*.sh"))
FAULTS = sorted(name for name in vars(audit_cases) if name.startswith("fault_"))
CLEAN = sorted(name for name in vars(audit_cases) if name.startswith("clean"))
UNUSUAL = [
    name
    for name, made in vars(unusual_steps).items()
    if getattr(made, "__module__", "") == "unusual_steps" and name[0].islower()
]
OTHER_PROCESS = "j"  # the check that starts a process
OWN = [
    f"{model}_{kernel}" for model in ("cnn", "vit", "wide") for kernel in ("c", "numpy", "torch")
]
OWN_LM = [
    f"{model}_{kernel}" for model in ("tied_lm", "lora") for kernel in ("c", "numpy", "torch")
]


@pytest.fixture(autouse=True)
def _full_precision() -> Iterator[None]:
    """A planted fault leaves a flag of the process changed."""
    yield
    torch.set_float32_matmul_precision("highest")


def audit_here(name: str, **options: Any) -> Report:
    """Audit without the check that starts a process: a partial has no name to import."""
    return audit(partial(getattr(audit_cases, name)), **options)


def test_each_check_has_a_planted_fault() -> None:
    letters = {finding.letter for finding in audit_here("clean").findings}
    assert {name.split("_")[1] for name in FAULTS} == letters == set("abcdefghijkl")


@pytest.mark.parametrize("name", [n for n in FAULTS if n.split("_")[1] != OTHER_PROCESS])
def test_a_planted_fault_is_found(name: str) -> None:
    assert name.split("_")[1] in audit_here(name).failed


@pytest.mark.process
@pytest.mark.parametrize("name", [n for n in FAULTS if n.split("_")[1] == OTHER_PROCESS])
def test_a_step_that_depends_on_its_process_is_found(name: str) -> None:
    assert audit(f"audit_cases:{name}").failed == (OTHER_PROCESS,)


@pytest.mark.parametrize("name", [*CLEAN, "tied"])
def test_a_step_without_fault_fails_no_check(name: str) -> None:
    assert audit_here(name).failed == ()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of torch's own tangents
@pytest.mark.parametrize("name", UNUSUAL)
def test_a_step_that_is_right_in_an_unusual_way_fails_no_check(name: str) -> None:
    report = audit(partial(getattr(unusual_steps, name)))
    assert [f"{f.letter}: {f.figure}" for f in report.findings if f.outcome == "fail"] == []


def test_a_module_without_trainable_weights_is_a_mistake() -> None:
    module = torch.nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable"):
        audit(lambda seed, lr: AuditCase(module, lambda: None))


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("clean", "jhk"),  # no name, nothing tied, too small
        ("clean_pair", "bghjk"),  # no loss
        ("clean_functional", "acefhjk"),  # noise that is never written to the weights
        ("clean_one_sided", "chjk"),
        ("clean_momentum", "ahjk"),
    ],
)
def test_what_cannot_be_applied_is_no_pass(name: str, letters: str) -> None:
    report = audit_here(name)
    assert {f.letter for f in report.findings if f.outcome == "not applicable"} == set(letters)


def test_a_one_sided_step_must_be_declared() -> None:
    assert audit_here("undeclared_one_sided").failed == ("c",)


def test_a_step_that_computes_no_forward_passes_next_to_nothing() -> None:
    module = torch.nn.Linear(200, 2)
    report = audit(lambda seed, lr: AuditCase(module, lambda: None))
    assert [f.letter for f in report.findings if f.outcome == "pass"] == ["d", "i"]


def test_bits_and_drift_are_counted() -> None:
    restored = audit_here("clean").finding("d")
    assert restored.outcome == "pass"
    assert 0.01 < (restored.value or 0) < 0.9  # plain additions round
    assert audit("own_steps:cnn_c").finding("d").value == 0  # the grid does not


def test_the_rate_is_raised_until_the_update_can_be_seen() -> None:
    def factory(seed: int, lr: float) -> AuditCase:
        return audit_cases.clean(seed, 1e-4 * lr)

    report = audit(factory)
    assert report.lr > 1e-3
    assert report.finding("a").outcome == "pass"
    assert audit(factory, lr=1e-3).finding("a").outcome == "not applicable"


def test_the_audit_leaves_the_weights_and_the_hooks_as_they_were() -> None:
    case = audit_cases.clean(0, 0.0)
    before = [p.clone() for p in case.module.parameters()]
    audit(lambda seed, lr: AuditCase(case.module, lambda: None, case.loss))
    assert all(map(torch.equal, before, case.module.parameters()))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in case.module.modules())


@pytest.mark.process
def test_the_command_shows_a_table_and_its_exit_code_is_the_verdict(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["audit", "audit_cases:clean"]) == 0
    assert "10 pass, 0 fail, 2 not applicable" in capsys.readouterr().out
    assert main(["audit", "audit_cases:fault_l", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    outcomes = {f["letter"]: f["outcome"] for f in report["findings"]}
    assert outcomes["l"] == "fail"
    assert (report["passes"], report["failed"]) == (False, ["l"])
    assert all(f["figure"] and f["why"] for f in report["findings"])


def test_the_current_folder_can_be_imported_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_own_step.py").write_text("from audit_cases import fault_c as mine\n")
    monkeypatch.chdir(tmp_path)
    assert main(["audit", "my_own_step:mine"]) == 1
    assert "33.33%" in capsys.readouterr().out


def test_the_example_of_the_page_runs_and_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    (tmp_path / "my_step.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    assert main(["audit", "my_step:factory"]) == 0
    assert "10 pass, 0 fail, 2 not applicable" in capsys.readouterr().out


def test_the_tables_of_public_implementations_are_those_measured() -> None:
    spec = importlib.util.spec_from_file_location("audits_table", EXAMPLES / "table.py")
    assert spec is not None
    assert spec.loader is not None
    table = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = table  # its dataclass looks there
    spec.loader.exec_module(table)
    page = PAGE.read_text()
    assert table.filled(page) == page, "run python examples/audits/table.py docs/audit.md"


@pytest.mark.parametrize("script", FINDINGS, ids=lambda path: path.stem)
def test_a_finding_has_its_form(script: Path) -> None:
    text = script.read_text()
    subprocess.run(["sh", "-n", script], check=True)
    assert "Exits with 0 while this is so" in text
    assert re.search(r"20\d\d-\d\d-\d\d, Python 3\.\d+", text), "date and version of the output"
    assert not re.search(r"(import|from) (zo_core|devices|bench)\b", text)
    assert "==" in text or re.search(r"[0-9a-f]{40}", text), "a pinned version or commit"
    (libraries,) = re.findall(r'^PINS="(.+)"$', text, flags=re.MULTILINE)
    assert all(re.fullmatch(r"(torch|numpy|tqdm)==[\d.]+", pin) for pin in libraries.split())
    assert "numpy==" in libraries


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("audit_cases", "package.module:factory"),
        ("no_such_module:factory", "no_such_module"),
        ("audit_cases:no_such", "no_such"),
        ("audit_cases:EPSILON", "EPSILON"),
        ("audit_cases:batch", "factory failed"),
        ("builtins:max", "AuditCase"),
        ("audit_cases:broken_step", "zero"),
    ],
)
def test_a_mistake_is_named_without_a_traceback(
    target: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", target]) == 2
    shown = capsys.readouterr().err
    assert named in shown
    assert "Traceback" not in shown


@pytest.mark.process
@pytest.mark.nightly
@pytest.mark.parametrize("name", OWN)
def test_our_own_steps_raise_no_alarm_in_four_runs_each(name: str) -> None:
    assert [audit(f"own_steps:{name}", seed=seed).failed for seed in range(4)] == [()] * 4


@needs("transformers", "peft")
@pytest.mark.process
@pytest.mark.nightly
@pytest.mark.parametrize("name", OWN_LM)
def test_our_language_models_raise_no_alarm_in_four_runs_each(name: str) -> None:
    assert [audit(f"own_steps:{name}", seed=seed).failed for seed in range(4)] == [()] * 4


@pytest.mark.parametrize(
    "name", ["cnn_c", "cnn_numpy", "cnn_torch", "cnn_off_grid", "torch_optimizer"]
)
def test_our_own_step_passes(name: str) -> None:
    report = audit(f"own_steps:{name}")
    assert report.failed == ()
    assert {f.letter for f in report.findings if f.outcome == "pass"} >= set("abcdefgil")
