"""What the base install and the extra edge can do; run by an environment's own Python.

usage: light_install.py base|edge EXPORTED

EXPORTED is a folder that ``zobench export`` wrote on a machine with torch. Each sub-command either
works or exits with code 3 and one line on stderr that names the extra to install. Exits with 1 if
anything else happens. Needs no pytest.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

TESTS = Path(__file__).parent
SAMPLES = TESTS.parent / "results" / "xeon-2core" / "default"
WORKS, LACKS, MISTAKE = 0, 3, 2


@dataclass(frozen=True)
class Expected:
    code: int
    text: str  # in stdout where the command works, in stderr where it does not


def lacks(package: str, extra: str) -> Expected:
    return Expected(LACKS, f'{package} is not installed: pip install "zobench[{extra}]"')


def one_record(folder: str) -> str:
    """Make a folder of one committed record, which has one sample per metric; return its path."""
    records = Path(folder) / "one" / "records"
    records.mkdir(parents=True)
    shutil.copy(SAMPLES / "records" / "bytes-resnet18-zo.json", records)
    return str(records.parent)


def expected_of(kind: str, exported: str, one: str) -> list[tuple[list[str], Expected]]:
    """One or more command lines for each sub-command."""
    fit = ["fit", "--device", "512MB", "--model", "cnn"]
    join = ["join", "--patience", "0.1"]
    without = Expected(LACKS, 'pip install "zobench[edge]"')
    if kind == "edge":
        without = Expected(MISTAKE, "add --model DIR")
    return [
        (["compare", str(SAMPLES), str(SAMPLES)], lacks("jsonschema", "bench")),
        (["devices"], Expected(WORKS, "this device")),
        (["devices", "--json"], Expected(WORKS, '"arch"')),
        (["devices", "--check"], Expected(WORKS, "checks")),
        (["devices", "--catalogue"], Expected(WORKS, "pi-zero-2")),
        (["plan", "--model", "cnn", "--items", "100"], Expected(MISTAKE, "--rounds N")),
        (["audit", "my_module:factory"], lacks("torch", "bench")),
        (["run", "--scale", "smoke"], lacks("pytest", "bench")),
        (["run", "--dry-run"], lacks("pytest", "bench")),
        (["run", "--list"], Expected(WORKS, "table2")),
        (["train", "--rounds", "2"], lacks("torch", "bench")),
        (["train", "--rounds", "2", "--dry-run"], Expected(WORKS, "pivot = 1")),
        (["fit"], lacks("torch", "bench")),
        (fit, lacks("torch", "bench")),
        ([*fit, "--measure"], lacks("torch", "bench")),
        (["train", "--task", "instruct", "--data-dir", "."], lacks("torch", "bench")),
        (["export", "--model", "cnn", "--out", "exported"], lacks("torch", "bench")),
        (["report", one], Expected(LACKS, "[bench]")),
        (["share", one], lacks("jsonschema", "bench")),
        (["replay", "base", "log", "--out", "made"], Expected(MISTAKE, "No such file")),
        (["check", one], Expected(LACKS, "[bench]")),
        (["compare", one, one], lacks("jsonschema", "bench")),
        (["serve", "--clients", "1", "--dir", "served"], lacks("torch", "bench")),
        (join, without),
        ([*join, "--backend", "onnx", "--model", exported], Expected(MISTAKE, "no broker answers")),
    ]


def run(command: list[str], folder: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def problem(done: subprocess.CompletedProcess[str], expected: Expected) -> str | None:
    """Return what is not as expected; None if all is."""
    if done.returncode != expected.code:
        return f"exit code {done.returncode}, expected {expected.code}: {done.stderr[-2000:]}"
    if expected.text not in (done.stdout if expected.code == WORKS else done.stderr):
        return f"expected {expected.text!r}, got {done.stdout[-500:]}{done.stderr[-2000:]}"
    if expected.code != WORKS and done.stderr.count("\n") != 1:
        return f"expected one line on stderr, got {done.stderr[-2000:]}"
    return None


def check_commands(kind: str, exported: str, folder: str) -> list[str]:
    """Run every sub-command; return the problems."""
    zobench = str(Path(sys.executable).with_name("zobench"))
    usage = run([zobench, "--help"], folder).stdout
    known = set(re.findall(r"^  ([a-z]+)  ", usage, flags=re.MULTILINE))
    rows = expected_of(kind, exported, one_record(folder))
    tested = {words[0] for words, _ in rows}
    problems = [f"commands {known} and tested {tested} differ"] if known != tested else []
    for words, expected in rows:
        done = run([zobench, *words], folder)
        wrong = problem(done, expected)
        line = done.stderr.strip() if expected.code != WORKS else "works"
        print(f"  zobench {' '.join(words[:3])}: {wrong or line}", flush=True)
        problems += [wrong] if wrong else []
    return problems


def check_client(kind: str, exported: str, folder: str) -> list[str]:
    """Train two rounds without torch, or read what to install for it; return the problems."""
    client = [sys.executable, str(TESTS / "aarch64" / "client.py"), exported]
    done = run(client, folder)
    if kind == "base":
        wrong = "zobench[edge]" not in done.stderr
    else:
        wrong = done.returncode != 0 or json.loads(done.stdout)["torch"]
    print(f"  client without torch: {done.stdout[:100] or done.stderr.splitlines()[-1]}")
    return [done.stdout + done.stderr] if wrong else []


def check_example(folder: str) -> list[str]:
    """Run the README's Python, which needs NumPy only; return the problems."""
    readme = (TESTS.parent / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    done = run([sys.executable, "-c", code], folder)
    print(f"  the README's example: {'works' if done.returncode == 0 else done.stderr}")
    return [done.stderr] if done.returncode else []


def main(kind: str, exported: str) -> int:
    assert find_spec("torch") is None, "torch is installed: this proves nothing"
    assert (find_spec("onnxruntime") is not None) == (kind == "edge")
    with tempfile.TemporaryDirectory() as folder:
        problems = check_commands(kind, exported, folder)
        problems += check_client(kind, exported, folder) + check_example(folder)
    print(f"{kind}: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], str(Path(sys.argv[2]).resolve())))
