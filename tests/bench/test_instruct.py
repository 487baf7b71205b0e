"""The study of a small language model's fine-tuning: whole, resumed, and LoRA's part in it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from optional import needs

from bench.instruct.data import DataConfig, InstructData, load_data
from bench.instruct.record import write_study
from bench.instruct.run import VARIANTS, InstructRun, RunConfig
from bench.instruct.study import StudyConfig, study
from zo_core.models.lm import LM_SHAPES, LanguageModel, LMShape, build_lm
from zo_core.models.lora import add_lora_

pytestmark = needs("transformers", "tokenizers", "peft", "rouge_score")
SMALL = DataConfig(positions=96, merges=1, clients=3, holdout_share=0.4)
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


@pytest.fixture(autouse=True)
def _small_and_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LM_SHAPES, "small", SHAPE)
    monkeypatch.setattr("bench.instruct.run._CHECKPOINT_EVERY", 2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> InstructData:
    """A task to learn from and one to be fine-tuned on, 12 items of it, written as files."""
    folder = tmp_path_factory.mktemp("instructions")
    (folder / "splits/default").mkdir(parents=True)
    (folder / "tasks").mkdir()
    for split, name in (("train", "task1_copy"), ("test", "task2_last")):
        instances = [{"input": f"n {i}", "output": [str(i % 10)]} for i in range(12)]
        task = {"Definition": ["Say."], "Instances": instances}
        (folder / f"tasks/{name}.json").write_text(json.dumps(task))
        (folder / f"splits/default/{split}_tasks.txt").write_text(f"{name}\n")
    tokens = [chr(b) for b in (*range(33, 127), *range(161, 173), *range(174, 324))]
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    numbered = {token: i for i, token in enumerate([*tokens, "lo", "<|endoftext|>"])}
    vocabulary.write_text(json.dumps(numbered))
    merges.write_text("#version: 0.2\nl o\n")
    return load_data(folder, vocabulary, merges, SMALL)


def model_for(data: InstructData, *, lora: bool) -> LanguageModel:
    model = build_lm("small", run_seed=0, end_id=data.tokenizer.end_id)
    if lora:
        add_lora_(model, rank=8, run_seed=0)
    return model


@pytest.mark.parametrize("variant", ["one-step-lora", "fedkseed-pro"])
def test_a_run_cut_off_goes_on_to_the_same_digest(
    data: InstructData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    config = RunConfig(variant=variant, lr=1e-2, run_seed=1, rounds=4)

    def run(folder: str) -> InstructRun:
        model = model_for(data, lora=variant.endswith("lora"))
        return InstructRun(config, data, model, tmp_path / folder)

    whole = run("whole").run(str)
    with monkeypatch.context() as patch:
        step = InstructRun._step

        def cut_off(self: InstructRun, round_index: int) -> None:
            if round_index == 3:
                raise KeyboardInterrupt
            step(self, round_index)

        patch.setattr(InstructRun, "_step", cut_off)
        with pytest.raises(KeyboardInterrupt):
            run("cut").run(str)
    resumed = run("cut").run(str)
    assert (resumed.outcome, resumed.rounds_done) == ("finished", 4)
    assert resumed.digest == whole.digest
    assert resumed.curve == whole.curve


def test_a_rate_far_too_high_ends_a_run_of_backprop_as_diverged(
    data: InstructData, tmp_path: Path
) -> None:
    config = RunConfig(variant="fedavg", lr=1e30, run_seed=1, rounds=4)
    record = InstructRun(config, data, model_for(data, lora=False), tmp_path).run(str)
    assert record.outcome == "diverged"
    assert "not finite" in str(record.reason)


def test_lora_changes_its_adapters_alone(data: InstructData, tmp_path: Path) -> None:
    config = RunConfig(variant="one-step-lora", lr=1e-1, run_seed=1, rounds=2)
    model = model_for(data, lora=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    InstructRun(config, data, model, tmp_path).run(str)
    changed = {n for n, value in model.state_dict().items() if not value.equal(before[n])}
    assert changed
    assert all("lora_" in name for name in changed)


def test_a_study_runs_every_variant_once_and_takes_up_what_is_done(
    data: InstructData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = StudyConfig(shape="small", steps=2, batch=2, seeds=1, rounds=2, tuning_rounds=1)
    (tmp_path / "records").mkdir()
    found = study(config, data, tmp_path, str)
    runs = found["runs"]
    assert isinstance(runs, list)
    assert {run["config"]["variant"] for run in runs} == set(VARIANTS)
    assert {run["outcome"] for run in runs} <= {"finished", "diverged"}
    assert write_study(found, tmp_path).stat().st_size > 0

    def never(self: InstructRun, round_index: int) -> None:
        raise AssertionError(f"round {round_index} of {asdict(self.config)} is done already")

    monkeypatch.setattr(InstructRun, "_step", never)
    assert study(config, data, tmp_path, str) == found
