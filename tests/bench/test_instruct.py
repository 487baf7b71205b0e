"""The study of a small language model's fine-tuning: its runs, resumed, and its results."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optional import needs

import devices
from bench.__main__ import main
from bench.cli import EXIT_USAGE
from bench.instruct.pretraining import PretrainingConfig
from bench.instruct.run import run_study
from bench.instruct.study import StudyConfig
from bench.instruct.variants import VARIANTS, variant_config
from bench.records.details.instruct import InstructDetails, StudyRun
from bench.records.typed_json import from_json, to_json
from bench.sweeps.worker import run_cells
from zo_core.data import DATASETS, Dataset, load_dataset
from zo_core.data.instruction_set import MERGES, VOCABULARY, TextLimits, instructions
from zo_core.federation.simulation.training import Training
from zo_core.models.lm import LM_SHAPES, LMShape
from zo_core.replica import Replica

pytestmark = needs("transformers", "tokenizers", "peft", "rouge_score")
SHAPE = LMShape(
    family="llama",
    width=16,
    layers=1,
    heads=2,
    mlp_width=16,
    vocabulary=258,
    positions=144,  # a prompt and the most that is answered
    tied=True,
)
STUDY = StudyConfig(
    pretraining=PretrainingConfig(shape="small", steps=2, batch=2),
    clients=3,
    holdout_share=0.4,
    seeds=1,
    rounds=2,
    tuning_rounds=1,
)
# loss, digest, bytes up and down of each variant, as the study's own loop had them before its runs
# became cells of a sweep
RESULTS = {
    "one-step": (5.5500383377, "7acb0b14d4b7ba60", 136, 234),
    "fedkseed": (5.5492577553, "ef4a3e9961437e83", 208, 456),
    "fedavg": (21903.1982, "f12a80165925d135", 95744, 95744),
    "one-step-lora": (5.5536398888, "356c2dd93655784e", 136, 234),
    "fedkseed-pro": (5.5501492023, "76108fbada901242", 208, 456),
}


def write_tasks(folder: Path) -> None:
    """Write a task to learn from and one to be fine-tuned on, 12 items of it."""
    (folder / "splits/default").mkdir(parents=True)
    (folder / "tasks").mkdir()
    for split, name in (("train", "task1_copy"), ("test", "task2_last")):
        instances = [{"input": f"n {i}", "output": [str(i % 10)]} for i in range(12)]
        task = {"Definition": ["Say."], "Instances": instances}
        (folder / f"tasks/{name}.json").write_text(json.dumps(task))
        (folder / f"splits/default/{split}_tasks.txt").write_text(f"{name}\n")
    tokens = [chr(b) for b in (*range(33, 127), *range(161, 173), *range(174, 324))]
    numbered = {token: i for i, token in enumerate([*tokens, "lo", "<|endoftext|>"])}
    (folder / VOCABULARY).write_text(json.dumps(numbered))
    (folder / MERGES).write_text("#version: 0.2\nl o\n")


def train_here(target: str, configs: Any, *, timeout_s: Any, env: Any, **options: Any) -> Any:
    """Stand in for devices.run_isolated: train in this process, which has the small model."""
    value = json.loads(json.dumps(to_json(run_cells(configs, **options))))
    return SimpleNamespace(status="ok", value=value, seconds=1.0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data, while the model and the sequences are small ones."""
    monkeypatch.setitem(LM_SHAPES, "small", SHAPE)
    limits = TextLimits(positions=96, merges=1)
    monkeypatch.setitem(DATASETS, "instructions", partial(instructions, limits=limits))
    monkeypatch.setattr(devices, "run_isolated", train_here)
    write_tasks(tmp_path / "data")
    return tmp_path


def study(folder: Path, log: Callable[[str], None] = str) -> tuple[Path, InstructDetails]:
    """Run the small study."""
    (folder / "out" / "records").mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    dataset = load_dataset("instructions", data_dir=data)
    path = run_study(STUDY, dataset, folder / "out", data_dir=data, workers=1, log=log)
    return path, from_json(InstructDetails, json.loads(path.read_text())["details"])


@pytest.mark.slow
def test_the_study_gives_the_results_of_its_own_earlier_loop(folder: Path) -> None:
    lines: list[str] = []
    path, found = study(folder, lines.append)
    runs = {run.config.variant: run for run in found.runs}
    assert set(runs) == set(VARIANTS)
    assert runs.pop("one-step-s3").outcome == "diverged"
    assert {variant: figures_of(run) for variant, run in runs.items()} == RESULTS
    assert any("fedkseed" in line for line in lines)

    def never(self: Training, *_: object, **__: object) -> None:
        raise AssertionError("this run is done already")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "run", never)
        again, same = study(folder)
    assert (again, same.runs, same.tuning) == (path, found.runs, found.tuning)


def figures_of(run: StudyRun) -> tuple[float, str, int, int]:
    """The figures that RESULTS has of a run."""
    loss, digest = run.curve[-1].loss, run.digest
    assert loss is not None
    assert digest is not None
    rounded = float(f"{loss:.10f}") if loss < 1000 else round(loss, 4)
    return rounded, digest[:16], run.up_payload_bytes, run.down_payload_bytes


def trained(folder: Path, variant: str, lr: float, **fields: Any) -> tuple[Training, Dataset]:
    """Train the small model by one variant."""
    dataset = load_dataset("instructions", data_dir=folder / "data")
    shared = {"model": "lm:small", "clients": 3, "holdout_share": 0.4, "run_seed": 1}
    config = variant_config(variant, lr=lr, items=2, rounds=2, **shared, **fields)
    return Training(config, dataset), dataset


def test_a_rate_far_too_high_ends_a_run_of_backprop_as_diverged(folder: Path) -> None:
    training, _ = trained(folder, "fedavg", 1e30)
    record = training.run()
    assert record.outcome == "diverged"
    assert "not finite" in str(record.reason)


def test_lora_changes_its_adapters_alone(folder: Path) -> None:
    training, _ = trained(folder, "one-step-lora", 1e-1)
    module = training.replica.module
    before = {name: value.clone() for name, value in module.state_dict().items()}
    training.run()
    changed = {n for n, value in module.state_dict().items() if not value.equal(before[n])}
    assert changed
    assert all("lora_" in name for name in changed)


def test_a_base_is_what_the_run_starts_from_and_its_first_evaluation(folder: Path) -> None:
    training, dataset = trained(folder, "fedkseed", 1e-3)
    base = Replica(training.replica.module).snapshot(run_id=0, round_index=0)
    config = training.config
    record = Training(config, dataset, base=base).run()
    assert [point.rounds_done for point in record.curve] == [0, 2]
    assert record.curve[0].item_passes == 0
    assert record.digest == training.run().digest


def test_an_image_model_cannot_take_sequences(folder: Path) -> None:
    dataset = load_dataset("instructions", data_dir=folder / "data")
    config = variant_config("fedavg", model="cnn", lr=0.1, items=2, rounds=1, clients=3)
    with pytest.raises(ValueError, match="model must be lm:NAME"):
        Training(config, dataset)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--algorithm", "mezo"], "--algorithm must be left out"),
        (["--split", "50/50"], "--high-share must be left out"),
        (["--resume"], "--resume must be left out"),
        (["--seeds", "0"], "--seeds must be >= 1, got 0"),
        ([], "vocab.json"),
    ],
)
def test_the_command_refuses_what_the_study_chooses_and_asks_for_its_files(
    options: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--task", "instruct", "--data-dir", str(tmp_path), *options]
    assert main(command) == EXIT_USAGE
    assert expected in capsys.readouterr().err
