"""docs/your-data.md and docs/your-model.md to the letter: their files, their commands, in order."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from waiting import WAIT_S, free_port

from bench.records.details.training import TrainDetails
from bench.records.store import read_records
from zo_core.data import load_dataset

pytestmark = [pytest.mark.process, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
SPARE = ["--threads", "1"]
NO_TORCH = (
    "import sys; sys.modules['torch'] = None\n"
    "from bench.__main__ import main\n"
    "sys.exit(main(sys.argv[1:]))"
)


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page(name), flags=re.DOTALL)


def commands(name: str, *, with_words: str, without: str = "photos") -> list[list[str]]:
    lines = [line for block in blocks(name, "sh") for line in block.splitlines()]
    found = [line for line in lines if with_words in line and without not in line]
    return [shlex.split(line)[1:] for line in found]


def zobench(folder: Path, words: Sequence[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout + done.stderr


def environment() -> dict[str, str]:
    import os

    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def python(folder: Path, code: str) -> None:
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment(), check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with the files that the pages tell to save."""
    made = tmp_path_factory.mktemp("mine")
    make_clicks, my_data = blocks("your-data.md", "python")
    my_net, _ = blocks("your-model.md", "python")
    (growing,) = [b for b in blocks("extending.md", "python") if "class GrowingOptions" in b]
    for name, code in (("my_data", my_data), ("my_net", my_net), ("growing", growing)):
        (made / f"{name}.py").write_text(code)
    python(made, make_clicks)
    return made


def test_the_commands_of_the_data_page_train(folder: Path) -> None:
    by_person, line = commands("your-data.md", with_words="zobench train")
    assert "test accuracy" in zobench(folder, [*by_person, *SPARE, "--out", "data"])
    assert "test loss" in zobench(folder, [*line, *SPARE, "--out", "data"])
    records = {record.config["dataset"]: record for record in read_records(folder / "data")}
    details = records["my_data:line"].details_as(TrainDetails)
    assert details is not None
    assert details.last.test_accuracy is None
    assert 0 < (details.last.test_loss or 0.0) < 5  # the variance of the targets
    assert records["clicks_by_person.npz"].metrics["test_accuracy"].value > 0.6


def test_the_commands_of_the_model_page_run_in_their_order(folder: Path) -> None:
    _, load_weights = blocks("your-model.md", "python")
    for words in commands("your-model.md", with_words="zobench train"):
        said = zobench(folder, words if "--help" in words else [*words, *SPARE])
        if "--help" in words:
            assert "--first-cohort" in said
    python(folder, load_weights)
    (grown,) = read_records(folder / "grown")
    assert grown.details["label"] == "growing"
    (first,) = read_records(folder / "trained")
    (tuned,) = read_records(folder / "tuned")
    assert tuned.metrics["test_accuracy"].value > 0.8
    assert tuned.details["digest"] != first.details["digest"]


def test_the_trained_weights_are_the_model_that_was_measured(folder: Path) -> None:
    sys.path.insert(0, str(folder))
    from my_net import net  # type: ignore[import-not-found]

    (record,) = read_records(folder / "trained")
    (file,) = (folder / "trained" / "weights").iterdir()
    model = net()
    model.load_state_dict(load_file(file))
    test = load_dataset("clicks.npz", data_dir=folder).test
    right = (model(test.x).argmax(dim=1) == test.y).float().mean()
    assert float(right) == pytest.approx(record.metrics["test_accuracy"].value)


@contextmanager
def started(folder: Path, command: list[str], port: str) -> Iterator[subprocess.Popen[str]]:
    words = [*command, "--port", port, "--threads", "1"]
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.network
def test_two_clients_one_without_torch_train_an_own_model_by_an_own_method(folder: Path) -> None:
    """GIVEN a client whose Python has no torch, and one that allows the user's modules."""
    port = str(free_port())
    (export,) = commands("your-model.md", with_words="zobench export")
    zobench(folder, export)
    (serve,) = commands("your-model.md", with_words="zobench serve")
    with_torch, without = commands("your-model.md", with_words="zobench join")
    module, bare = [sys.executable, "-m", "bench"], [sys.executable, "-c", NO_TORCH]
    with (
        started(folder, [*module, *serve], port) as server,
        started(folder, [*module, *with_torch], port) as first,
        started(folder, [*bare, *without], port) as second,
    ):
        said = [process.communicate(timeout=WAIT_S)[0] for process in (server, first, second)]
    digests = [re.findall(r"digest ([0-9a-f]{64})", text) for text in said]
    assert digests[0], said
    assert digests[0] == digests[1] == digests[2]
    assert "onnxruntime" in said[2]
    outcome = json.loads((folder / "served" / "outcome.json").read_text())
    assert outcome["rounds"] == 10
    weights = load_file(folder / "served" / "weights.safetensors")
    assert {name: tuple(w.shape) for name, w in weights.items()} == {
        **{"0.weight": (16, 6), "0.bias": (16,)},
        **{"2.weight": (3, 16), "2.bias": (3,)},
    }
    assert all(isinstance(w, torch.Tensor) for w in weights.values())


@pytest.mark.network
def test_a_server_alone_cannot_make_a_client_import_a_module(folder: Path) -> None:
    """GIVEN a plan that names a module which writes a file when it is imported."""
    (folder / "trap.py").write_text("open('trapped', 'w').close()\nnet = None\n")
    code = (
        "from zo_core.import_by_name import allowing_modules, load_own\n"
        "with allowing_modules(['my_net']):\n"
        "    load_own('my_net:net', 'model')\n"
        "    try:\n        load_own('trap:net', 'model')\n"
        "    except ValueError as error:\n        assert '--import trap' in str(error)\n"
        "    else:\n        raise AssertionError\n"
    )
    python(folder, code)
    assert not (folder / "trapped").exists()
