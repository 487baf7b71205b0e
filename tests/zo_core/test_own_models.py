"""Models as people write them: what is taken of their outputs, what is refused, what is named."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from zo_core.algorithms import train_config
from zo_core.algorithms.registry import ALGORITHMS, row_of
from zo_core.data import load_dataset
from zo_core.edge.export import export_model
from zo_core.federation.build import built_model, federated_data, shard_samples
from zo_core.federation.protocol.plan import Plan
from zo_core.federation.simulation.training import Training
from zo_core.import_by_name import allowing_modules, load_own
from zo_core.loss.module_loss import cross_entropy, mean_loss
from zo_core.loss.outputs import find_scores
from zo_core.models.initial_weights import load_initial_, save_weights
from zo_core.models.special_layers import packed_layers, remarks_of, require_micro_batches

SCORES = torch.tensor([[2.0, 0.0, 1.0]])
Pair = namedtuple("Pair", "aux logits")
SMALL: dict[str, Any] = {
    **{"clients": 3, "high_share": 0.34, "rounds": 2, "pivot": 1, "warmup_cohort": 1},
    **{"eval_every": 2, "directions": 1},
}


@dataclass
class Named:
    hidden: str
    scores: torch.Tensor


@pytest.mark.parametrize(
    ("outputs", "expression"),
    [
        (SCORES, "outputs"),
        ({"aux": SCORES + 1, "logits": SCORES}, "outputs['logits']"),
        ({"out": SCORES, "aux": SCORES + 1}, "outputs['out']"),
        ({"hidden": 3, "found": SCORES}, "outputs['found']"),
        ((None, SCORES, SCORES + 1), "outputs[1]"),
        (Pair(SCORES + 1, SCORES), "outputs.logits"),
        (Named("x", SCORES), "outputs.scores"),
    ],
)
def test_the_scores_are_found_in_what_forward_returns(outputs: Any, expression: str) -> None:
    found, taken = find_scores(outputs)
    assert taken == expression
    assert torch.equal(found, SCORES)
    y = torch.tensor([0])
    assert torch.equal(cross_entropy(outputs, y), cross_entropy(SCORES, y))


def test_outputs_without_a_tensor_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must return a tensor.*got dict"):
        find_scores({"loss": 1.0})


def test_running_and_spectral_buffers_stay_in_forwards() -> None:
    norm = nn.utils.parametrizations.spectral_norm
    module = nn.Sequential(norm(nn.Linear(4, 4)), nn.BatchNorm1d(4)).train()
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    for _ in range(3):
        mean_loss(module, torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0]))
    assert before
    assert all(torch.equal(buffer, before[n]) for n, buffer in module.named_buffers())


def test_micro_batches_are_refused_where_they_change_the_loss() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False))
    x, y = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    assert mean_loss(module, x, y) != pytest.approx(mean_loss(module, x, y, micro_batch=2))
    with pytest.raises(ValueError, match=r"track_running_stats=False.*got 2"):
        require_micro_batches(module, 2)
    require_micro_batches(nn.Linear(4, 4), 2)
    assert "1: batch norm without running statistics" in remarks_of(module)[0]


@pytest.mark.filterwarnings("ignore")  # torch is giving this kind of layer up
def test_packed_layers_are_named() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    quantised = torch.ao.quantization.quantize_dynamic(module, {nn.Linear})
    assert [text.split()[0] for text in packed_layers(quantised)] == ["0", "2"]
    assert packed_layers(module) == []


@pytest.mark.slow
def test_an_export_leaves_shared_modules_as_they_were(tmp_path: Path) -> None:
    """GIVEN a module in two places and a head tied to it; torch.func had left others' weights."""
    from zoo_models import shared

    module, example = shared()
    before, ids = named(module), [id(parameter) for parameter in module.parameters()]
    export_model(module, tmp_path / "out", example=example, name="shared")
    assert [id(parameter) for parameter in module.parameters()] == ids
    assert all(torch.equal(tensor, before[n]) for n, tensor in module.state_dict().items())
    assert module.again is module.first


# --- own modules in a folder ------------------------------------------------------------------

MINE = """
import torch
import torch.nn.functional as F
from torch import nn

class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)
    def forward(self, x):
        return {"logits": F.dropout(self.linear(x), 0.5)}

def noisy(): return Noisy()
def net(): return nn.Linear(6, 3)
def wide(): return nn.Linear(7, 3)
def few(): return nn.Linear(6, 2)
def one(outputs, y): return F.cross_entropy(outputs, y)
def data():
    x = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
    return {"x": x, "y": torch.arange(60) % 3, "client": ["b", "a", "c", "a", "a", "c"] * 10}
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    import sys

    (tmp_path / "mine_here.py").write_text(MINE)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "some.npz", x=rng.normal(size=(60, 6)), y=np.arange(60) % 3)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("mine_here", None)
    for name in [name for name in ALGORITHMS if ":" in name]:
        del ALGORITHMS[name]


def test_the_record_says_what_was_taken_and_the_noise_is_reported(mine: Path) -> None:
    config = train_config(model="mine_here:noisy", dataset="some.npz", **SMALL)
    record = Training(config, load_dataset("some.npz")).record
    assert record.outputs == "outputs['logits']"
    assert any("differ by" in warning for warning in record.warnings)
    quiet = train_config(model="mine_here:net", dataset="some.npz", **SMALL)
    assert Training(quiet, load_dataset("some.npz")).record.warnings == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model": "mine_here:wide"}, r"does not take items of the data set's shape \(6,\)"),
        ({"model": "mine_here:few"}, "scores for the data set's 3 classes, got 2"),
        ({"model": "mine_here:gone"}, "has no 'gone'; it defines"),
        ({"model": "nowhere:net"}, "was looked for in the current folder"),
        ({"criterion": "mine_here:one"}, r"one number per item.*reduction=.none"),
        ({"criterion": "mse"}, "of which mse makes no sense"),
        ({"criterion": "hinge"}, "criterion must be cross-entropy, mse or"),
    ],
)
def test_what_does_not_fit_is_an_error_before_the_first_round(
    mine: Path, change: dict[str, str], expected: str
) -> None:
    fields = {"model": "mine_here:net", "dataset": "some.npz", **SMALL, **change}
    with pytest.raises(ValueError, match=expected):
        Training(train_config(**fields), load_dataset("some.npz"))


def test_an_own_partition_is_kept_with_shards_of_any_size(mine: Path) -> None:
    dataset = load_dataset("mine_here:data")
    config = train_config(model="mine_here:net", dataset="mine_here:data", **SMALL)
    data = federated_data(config, dataset, "cpu")
    assert dataset.clients is not None
    for slot in range(3):
        own = set(np.flatnonzero(dataset.clients == slot))
        held = data.partition
        assert set(held.train[slot]) | set(held.holdout[slot]) == own
        assert len(data.client(slot)) == len(held.train[slot])
    assert len(set(data.samples)) > 1
    assert shard_samples(config, dataset) == data.samples
    plan = Plan(config=config, run_id=1, samples=data.samples)
    again = Plan.from_json(plan.to_json(), run_id=1, run_seed=config.run_seed)
    assert again == plan
    assert again.context_of(1).samples == data.samples
    assert Training(config, dataset).run().outcome == "finished"


def test_the_number_of_clients_must_be_the_datas(mine: Path) -> None:
    config = train_config(model="mine_here:net", dataset="mine_here:data", **SMALL | {"clients": 4})
    with pytest.raises(ValueError, match=r"clients must be 3.*add --clients 3"):
        Training(config, load_dataset("mine_here:data"))


def test_modules_that_are_not_allowed_are_not_imported(mine: Path) -> None:
    import sys

    with (
        allowing_modules({"other"}),
        pytest.raises(ValueError, match=r"chosen by the server.*add --import mine_here"),
    ):
        load_own("mine_here:net", "model")
    assert "mine_here" not in sys.modules
    with allowing_modules({"mine_here"}):
        assert load_own("mine_here:net", "model")


def test_an_algorithm_must_say_what_its_options_are(mine: Path) -> None:
    with pytest.raises(ValueError, match=r"must be a function .config: TrainConfig, options"):
        row_of("mine_here:net")


# --- initial weights --------------------------------------------------------------------------


def named(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("kind", ["safetensors", "pt", "nested", "prefixed"])
def test_weights_are_taken_from_a_file(tmp_path: Path, kind: str) -> None:
    source, target = (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)) for _ in range(2))
    state = named(source)
    path = tmp_path / f"weights.{'safetensors' if kind == 'safetensors' else 'pt'}"
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "nested":
        torch.save({"state_dict": state, "epoch": 3}, path)
    else:
        prefix = "module." if kind == "prefixed" else ""
        torch.save({f"{prefix}{name}": tensor for name, tensor in state.items()}, path)
    report = load_initial_(target, path)
    assert report.taken == len(state)
    assert report.remarks() == []
    assert all(torch.equal(tensor, state[n]) for n, tensor in target.state_dict().items())


def test_what_a_file_does_not_give_is_named_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "body.pt"
    torch.save({**named(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 9))), "x": SCORES}, path)
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(2, 2))
    before = named(module)
    report = load_initial_(module, path)
    assert report.unexpected == ("x",)
    assert report.missing == ("2.bias", "2.weight")
    assert report.mismatched[0] == "1.weight: file (9, 4), model (2, 4)"
    assert torch.equal(module[1].weight, before["1.weight"])
    assert len(report.remarks()) == 3


def test_a_file_that_fits_nowhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save({"encoder": SCORES}, path)
    with pytest.raises(ValueError, match=r"none of its 1 tensors fits the model: it has encoder"):
        load_initial_(nn.Linear(3, 4), path)
    with pytest.raises(ValueError, match=r"no such file"):
        load_initial_(nn.Linear(3, 4), tmp_path / "gone.pt")
    (tmp_path / "text.safetensors").write_text("not weights")
    with pytest.raises(ValueError, match=r"must be a .safetensors file or a state_dict"):
        load_initial_(nn.Linear(3, 4), tmp_path / "text.safetensors")


def test_weights_that_were_written_start_the_next_run(tmp_path: Path) -> None:
    dataset = load_dataset("digits")
    first = Training(train_config(**SMALL), dataset)
    first.run()
    save_weights(first.replica.module, tmp_path / "w.safetensors", {"digest": "0"})
    config = train_config(**SMALL, run_seed=9, init=str(tmp_path / "w.safetensors"))
    started = built_model(config, dataset, "cpu")
    assert started.remarks == ()
    for ours, theirs in zip(
        started.replica.module.parameters(), first.replica.module.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_tied_weights_are_written_under_each_name(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    module[1].weight = module[0].weight
    save_weights(module, tmp_path / "tied.safetensors", {})
    fresh = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    fresh[1].weight = fresh[0].weight
    assert load_initial_(fresh, tmp_path / "tied.safetensors").remarks() == []
    assert torch.equal(fresh[0].weight, module[0].weight)
    assert F.linear(torch.ones(1, 4), fresh[1].weight).shape == (1, 4)
