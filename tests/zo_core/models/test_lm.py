"""Language models: shapes, one copy, tied weights, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from optional import needs

from zo_core import parameters, perturb_
from zo_core.loss.items import UNLABELLED
from zo_core.loss.module_loss import cross_entropy, mean_loss
from zo_core.models.counts import count_parameters
from zo_core.models.lm import (
    LM_SHAPES,
    LanguageModel,
    LMShape,
    build_lm,
    load_lm,
    outline_lm,
    require_length,
)
from zo_core.models.lora import add_lora_

pytestmark = needs("transformers", "peft")

TINY = LMShape(
    family="llama",
    width=32,
    layers=2,
    heads=2,
    mlp_width=48,
    vocabulary=61,
    positions=16,
    tied=True,
)
TINY_OPT = LMShape(
    family="opt",
    width=32,
    layers=2,
    heads=2,
    mlp_width=64,
    vocabulary=61,
    positions=16,
    tied=True,
)


@pytest.fixture(scope="module")
def tiny() -> LanguageModel:
    return build_lm(TINY, run_seed=3)


@pytest.mark.parametrize(
    ("name", "millions"),
    [("opt-125m", 125.239), ("opt-1.3b", 1315.758), ("datajuicer-1.3b", 1345.423)],
)
def test_the_shapes_have_the_parameters_that_their_names_say(name: str, millions: float) -> None:
    outline = outline_lm(name)
    assert count_parameters(outline) / 1e6 == pytest.approx(millions, abs=1e-3)
    assert {p.device.type for p in outline.parameters()} == {"meta"}


def test_the_small_model_is_small() -> None:
    assert count_parameters(outline_lm("tiny-llama")) <= 3_000_000


@pytest.mark.parametrize("shape", [TINY, TINY_OPT])
def test_tied_weights_are_one_tensor_and_perturbed_once(shape: LMShape) -> None:
    model = build_lm(shape, run_seed=1)
    head = model.network.get_output_embeddings().weight
    assert head is model.network.get_input_embeddings().weight
    before = head.detach().clone()
    perturb_(model, seed=5, scale=0.25)
    assert torch.equal((head - before).abs().round(decimals=4).unique(), torch.tensor([0.25]))
    assert len(parameters(model).arrays) == len(list(model.parameters()))


def test_weights_follow_from_the_seed_alone() -> None:
    one, same, other = (build_lm(TINY, run_seed=seed) for seed in (1, 1, 2))
    assert all(map(torch.equal, one.parameters(), same.parameters()))
    assert not torch.equal(next(one.parameters()), next(other.parameters()))


def test_building_a_model_leaves_torchs_generator_alone() -> None:
    before = torch.random.get_rng_state()
    build_lm(TINY, run_seed=1)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_checkpoint_gives_the_same_scores(tiny: LanguageModel, tmp_path: Path) -> None:
    tiny.network.save_pretrained(tmp_path)
    loaded = load_lm(str(tmp_path))
    ids = torch.arange(8).view(1, 8)
    assert torch.equal(tiny(ids), loaded(ids))


def test_bfloat16_takes_half_the_bytes(tmp_path: Path) -> None:
    half = build_lm(TINY, dtype="bfloat16", run_seed=3)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    loss = mean_loss(half, *_batch())
    assert loss == pytest.approx(mean_loss(build_lm(TINY, run_seed=3), *_batch()), rel=0.01)


def test_padding_that_is_not_computed_changes_no_score(tiny: LanguageModel) -> None:
    ids = torch.full((2, 12), 60)
    ids[0, :5], ids[1, :7] = torch.arange(5), torch.arange(7)
    trimmed = LanguageModel(tiny.network, end_id=60)(ids)
    assert trimmed.shape == (2, 7, 61)
    torch.testing.assert_close(trimmed, tiny(ids)[:, :7])


def test_the_loss_is_the_mean_over_labelled_positions() -> None:
    scores = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([[UNLABELLED, 2, 4], [1, UNLABELLED, UNLABELLED]])
    logs = scores.log_softmax(dim=-1)
    expected = torch.stack([-(logs[0, 1, 2] + logs[0, 2, 4]) / 2, -logs[1, 0, 1]])
    torch.testing.assert_close(cross_entropy(scores, y), expected)
    torch.testing.assert_close(
        cross_entropy(scores[:, :2], y), torch.stack([-logs[0, 1, 2], expected[1]])
    )


def test_lora_trains_its_adapters_alone_and_begins_as_the_model() -> None:
    model = build_lm(TINY, run_seed=3)
    whole, before = count_parameters(model), model(_batch()[0])
    add_lora_(model, rank=2, run_seed=3)
    trainable = parameters(model).names
    assert all("lora_" in name for name in trainable)
    assert count_parameters(model) == TINY.layers * 2 * 2 * 2 * TINY.width < whole
    assert torch.equal(model(_batch()[0]), before)
    again = build_lm(TINY, run_seed=3)
    add_lora_(again, rank=2, run_seed=3)
    assert all(map(torch.equal, model.parameters(), again.parameters()))


def test_a_sequence_longer_than_the_model_is_refused(tiny: LanguageModel) -> None:
    with pytest.raises(ValueError, match="at most the model's 16 positions, got 17"):
        tiny(torch.zeros(1, 17, dtype=torch.long))
    require_length(16, 16)


def test_a_folder_without_weights_is_refused(tiny: LanguageModel, tmp_path: Path) -> None:
    tiny.network.config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no language model can be loaded from"):
        load_lm(str(tmp_path))


def test_a_checkpoint_that_lacks_tensors_is_refused(tiny: LanguageModel, tmp_path: Path) -> None:
    state = dict(tiny.network.state_dict())
    del state["model.layers.1.mlp.up_proj.weight"]
    tiny.network.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(ValueError, match="lacks 1 of the model's tensors"):
        load_lm(str(tmp_path))


@pytest.mark.parametrize("source", ["/no/such/folder", "./none"])
def test_a_path_that_is_not_there_is_refused_without_a_look_at_the_hub(source: str) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        load_lm(source)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="known: opt-125m"):
        build_lm("gpt-9", run_seed=0)
    with pytest.raises(ValueError, match="dtype must be one of"):
        build_lm(TINY, dtype="int8", run_seed=0)
    assert "tiny-llama" in LM_SHAPES


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.arange(18).view(2, 9)
    return ids[:, :-1], ids[:, 1:]
