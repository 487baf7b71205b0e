"""Export: the graph computes the module's loss, and both train to the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from zo_core import perturb_, snap_
from zo_core.algorithms.steps.zeroth_order import ZerothOrderStep
from zo_core.edge.export import ExportError, export_model
from zo_core.edge.load import load_replica
from zo_core.edge.manifest import GRAPH_FILE, MANIFEST_FILE, read_manifest
from zo_core.edge.session_arithmetic import BFLOAT16_OPTION
from zo_core.federation import Replica
from zo_core.method import ClientData, RoundContext

Exported = tuple[nn.Module, Path]


def mixed_module() -> nn.Module:
    """Both norms, a frozen layer, a running statistic that is no default, a bare parameter."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = nn.Parameter(torch.full((1, 6, 1, 1), 1.5))  # called as the graph's own input

        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return maps * self.x

    torch.manual_seed(3)
    module = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        Scaled(),
        nn.Conv2d(6, 4, 3, stride=2),
        nn.GroupNorm(2, 4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 5),
    )
    module[4].requires_grad_(False)
    for _ in range(3):
        module(torch.randn(8, 2, 6, 6) * 2 + 1)
    return module


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    module = mixed_module()
    folder = tmp_path_factory.mktemp("export") / "mixed"
    grid = snap_(module)
    assert module.training
    export_model(module, folder, example=batch(2), name="mixed", grid=grid)
    assert module.training
    return module.eval(), folder


def batch(items: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(items)
    x = torch.randn(items, 2, 6, 6, generator=generator)
    return x, torch.randint(5, (items,), generator=generator)


def test_the_manifest_lists_tensors_in_stream_order(exported: Exported) -> None:
    module, folder = exported
    manifest = read_manifest(folder)
    trainable = [name for name, p in module.named_parameters() if p.requires_grad]
    assert [spec.name for spec in manifest.parameters] == trainable
    assert [spec.name for spec in manifest.frozen] == [
        "4.weight",
        "4.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
    ]
    assert (manifest.input_shape, manifest.num_classes) == ((2, 6, 6), 5)


@pytest.mark.parametrize("items", [1, 2, 7])
def test_the_graphs_loss_is_the_modules_at_any_batch(exported: Exported, items: int) -> None:
    module, folder = exported
    x, y = batch(items)
    edge, torch_side = load_replica(folder), Replica(module)
    for micro_batch in (None, 1, 3):
        ours = edge.mean_loss(x.numpy(), y.numpy(), micro_batch=micro_batch)
        assert ours == pytest.approx(torch_side.mean_loss(x, y), rel=1e-6)


def test_the_last_layer_is_summed_in_float64(tmp_path: Path) -> None:
    module = nn.Linear(6, 2)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([1.0, 0.0])[:, None].expand(2, 6))
        module.bias.zero_()
    x = torch.tensor([[1e8, 0.5, 0.5, 0.5, 0.5, -1e8]])  # float32 would lose the four halves
    y = torch.tensor([0])
    export_model(module, tmp_path / "sum", example=(torch.ones(1, 6), y), name="sum")
    exact = F.cross_entropy(torch.tensor([[2.0, 0.0]], dtype=torch.float64), y)
    assert load_replica(tmp_path / "sum").mean_loss(x, y) == pytest.approx(float(exact), abs=1e-12)


def test_a_forward_is_in_float32_whatever_the_build_would_choose(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[str] = []
    start = onnxruntime.InferenceSession

    def spy(path: Path, options: Any, **given: Any) -> Any:
        chosen.append(options.get_session_config_entry(BFLOAT16_OPTION))
        return start(path, options, **given)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    load_replica(exported[1])

    assert chosen == ["0"]


def test_a_perturbation_reaches_every_trainable_tensor(exported: Exported) -> None:
    """Folding a norm into a convolution would keep the old one: each must change the loss."""
    x, y = (part.numpy() for part in batch(7))
    edge = load_replica(exported[1])
    at_start = edge.mean_loss(x, y)
    for name, array in zip(edge.params.names, edge.params.arrays, strict=True):
        before = array.copy()
        array += np.cos(np.arange(array.size, dtype=np.float32)).reshape(array.shape)
        assert edge.mean_loss(x, y) != at_start, name
        array[...] = before


def test_edge_and_torch_end_two_rounds_with_one_digest(exported: Exported) -> None:
    """GIVEN a client on each back end WHEN both apply what both sent THEN they hold the same bits.

    The scalars that they send differ in the last digits alone.
    """
    edge, torch_side = load_replica(exported[1]), Replica(mixed_module())
    torch_side.restore_(edge.snapshot(run_id=9, round_index=0))
    torch_side.module.eval()
    method = ZerothOrderStep(directions=3, epsilon=1e-3, tau=0.75, lr=1e-2, micro_batch=4)
    x, y = batch(10)
    for round_index in range(2):
        context = RoundContext(
            run_seed=4, run_id=9, round_index=round_index, cohort=(0, 1), samples=(10, 10)
        )
        ours: Any = method.client_update(
            edge, ClientData(slot=0, x=x.numpy(), y=y.numpy()), context
        )
        theirs: Any = method.client_update(torch_side, ClientData(slot=0, x=x, y=y), context)
        np.testing.assert_allclose(ours.differences, theirs.differences, rtol=2e-3, atol=1e-8)
        other = method.client_update(torch_side, ClientData(slot=1, x=x, y=y), context)
        result, _ = method.server_result(torch_side, [ours, other], context)
        method.apply_(edge, result, context)
        assert edge.digest() == torch_side.digest()
    perturb_(edge.params, seed=1, scale=1.0)
    edge.invalidate_digest()
    assert edge.digest() != torch_side.digest()


class Singular(nn.Module):
    """Needs an operator that ONNX has not."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.svdvals(x) * self.scale


class Wavering(nn.Module):
    """Takes another path by what its data is."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) if float(x.sum()) > 0 else x


@pytest.mark.parametrize(
    ("module", "shape", "words"),
    [(Singular(), (3, 3), "svd"), (Wavering(), (3,), "no static graph")],
)
def test_what_has_no_graph_is_refused_by_name_and_nothing_is_written(
    tmp_path: Path, module: nn.Module, shape: tuple[int, ...], words: str
) -> None:
    example = torch.randn(2, *shape), torch.tensor([0, 1])
    with pytest.raises(ExportError, match=words):
        export_model(module, tmp_path / "none", example=example, name="none")
    assert not (tmp_path / "none" / MANIFEST_FILE).exists()


@pytest.mark.parametrize(("mean", "spread"), [(0.0, 1.0), (100.0, 1.0), (1000.0, 10.0)])
def test_a_group_norm_of_values_far_from_zero_is_exact(
    tmp_path: Path, mean: float, spread: float
) -> None:
    """Keep opset 18: from 21 on the variance is E[x^2] - E[x]^2, an error of 0.03 at mean 100."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(4 * 64, 3))
    x = mean + spread * torch.randn(16, 4, 8, 8)
    y = torch.arange(16) % 3
    export_model(module, tmp_path, example=(x[:2], y[:2]), name="norm")

    graph = onnx.load(tmp_path / GRAPH_FILE)
    loss = load_replica(tmp_path).mean_loss(x.numpy(), y.numpy())
    exact = F.cross_entropy(module.double()(x.double()), y)

    assert [opset.version for opset in graph.opset_import if not opset.domain] == [18]
    assert loss == pytest.approx(float(exact.detach()), abs=2e-5)
