"""The real Hugging Face Trainer, without backprop: what it keeps, saves, resumes and replays."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from optional import needs

from devices.tensor_memory import track_tensors
from zo_core import digest, replay
from zo_core.compat.transformers import import_peft, import_transformers
from zo_core.torch import ZOSGD
from zo_core.trainer import ForwardOnlyMixin

pytestmark = needs("transformers")
TOKENS, BATCH = 24, 8


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def network(dropout: float = 0.1) -> Any:
    transformers = import_transformers()
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=64,
        n_positions=TOKENS,
        n_embd=64,
        n_layer=2,
        n_head=4,
        resid_pdrop=dropout,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
    )
    return transformers.GPT2LMHeadModel(config)


def counting() -> list[dict[str, torch.Tensor]]:
    ids = (torch.arange(TOKENS) + 3 * torch.arange(32)[:, None]) % 64
    return [{"input_ids": row, "labels": row} for row in ids]


def trainer(model: Any, folder: Path, optimizer: Any = None, **options: Any) -> Any:
    transformers = import_transformers()

    class ForwardOnlyTrainer(ForwardOnlyMixin, transformers.Trainer):  # type: ignore[misc]
        pass

    defaults = {"max_steps": 6, "learning_rate": 1e-3, "save_strategy": "no"}
    args = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=BATCH,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        logging_strategy="no",
        **defaults | options,
    )
    return ForwardOnlyTrainer(
        model=model, args=args, train_dataset=counting(), optimizers=(optimizer, None)
    )


@pytest.fixture
def no_graph() -> Iterator[None]:
    """Fail where autograd saves a tensor for a backward pass."""

    def refuse(_: object) -> NoReturn:
        raise AssertionError("a tensor was saved for backward")

    with torch.autograd.graph.saved_tensors_hooks(refuse, refuse):
        yield


@pytest.mark.usefixtures("no_graph")
def test_training_keeps_no_graph_and_needs_the_tensors_of_inference(tmp_path: Path) -> None:
    model = network()
    batch = {
        name: torch.stack([item[name] for item in counting()[:BATCH]])
        for name in ("input_ids", "labels")
    }
    existing = [*model.buffers(), *batch.values()]
    tracked = {"parameters": list(model.parameters()), "existing": existing}
    with torch.no_grad(), track_tensors(**tracked) as inference:
        model(**batch)
    trained = trainer(model, tmp_path)
    with track_tensors(**tracked) as training:
        trained.train()
    assert trained.state.global_step == 6
    assert training.result().peak_bytes <= 1.05 * inference.result().peak_bytes
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.usefixtures("no_graph")
def test_training_lowers_the_loss_and_can_be_replayed(tmp_path: Path) -> None:
    model = network()
    base = copy.deepcopy(model)
    optimizer = ZOSGD(model.named_parameters(), lr=3e-3, directions=4)
    trained = trainer(model, tmp_path, optimizer, max_steps=60, lr_scheduler_type="constant")
    before = trained.evaluate(counting())["eval_loss"]
    trained.train()
    assert trained.evaluate(counting())["eval_loss"] < before - 0.05
    log = optimizer.log()
    assert log.num_steps == 60
    replay(base, log)
    assert digest(base) == digest(model)


def test_the_schedule_is_the_trainers(tmp_path: Path) -> None:
    model = network()
    trained = trainer(model, tmp_path, lr_scheduler_type="linear", gradient_accumulation_steps=2)
    trained.train()
    log = trained.optimizer.optimizer.log()
    assert [step.rates for step in log.steps()] == [
        pytest.approx((1e-3 * (6 - index) / 6,)) for index in range(6)
    ]
    assert [len(step.updates) for step in log.steps()] == [2] * 6  # one estimate per batch


def test_a_run_resumed_from_the_trainers_checkpoint_ends_with_the_same_bits(
    tmp_path: Path,
) -> None:
    whole, resumed = network(), network()
    options = {"save_strategy": "steps", "save_steps": 3, "max_steps": 6}
    trainer(whole, tmp_path / "whole", **options).train()
    again = trainer(resumed, tmp_path / "again", **options)
    again.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-3"))
    assert digest(resumed) == digest(whole)
    base = network()
    replay(base, again.optimizer.optimizer.log())
    assert digest(base) == digest(whole)


@needs("peft")
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # used by peft
@pytest.mark.usefixtures("no_graph")
def test_lora_adapters_alone_are_trained_logged_and_replayed(tmp_path: Path) -> None:
    peft = import_peft()
    config = peft.LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True)
    model = peft.get_peft_model(network(), config)
    base = copy.deepcopy(model)
    frozen = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    trained = trainer(model, tmp_path, learning_rate=1e-2)
    trained.train()
    log = trained.optimizer.optimizer.log()
    assert all("lora_" in name for name in log.header.names)
    assert all(torch.equal(p, dict(model.named_parameters())[n]) for n, p in frozen.items())
    replay(base, log)
    assert digest(base) == digest(model)


@pytest.mark.parametrize("options", [{"weight_decay": 0.1}, {"fp16": True}])
def test_settings_without_a_meaning_here_are_refused(
    options: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        trainer(network(), tmp_path, **options).train()


def test_another_optimizer_is_refused(tmp_path: Path) -> None:
    model = network()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"must be a zo_core\.torch\.ZOSGD"):
        trainer(model, tmp_path, sgd).train()
