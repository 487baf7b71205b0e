"""The dispatch: the right kernel for each tensor, said aloud where the best one is missing."""

from __future__ import annotations

import logging
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from zo_core import kernels
from zo_core.kernels import selection
from zo_core.parameters import Span, parameters
from zo_core.weight_grid import snap_

NEEDS_C = pytest.mark.skipif(
    bool(selection.unavailable_reason("c")),
    reason=f"no C kernels: {selection.unavailable_reason('c')}",
)


def served_by(arrays, signs=True):
    groups = selection.groups_of(parameters(arrays), signs)
    return [(group.kernel.__name__.rpartition(".")[2], group.tensor_indices) for group in groups]


@NEEDS_C
def test_each_tensor_gets_the_kernel_for_its_memory_and_dtype():
    import torch

    arrays = [
        np.zeros(3, np.float32),
        np.zeros(3, np.float64),
        torch.zeros(3),
        torch.zeros(3, dtype=torch.bfloat16),
        torch.zeros(3, dtype=torch.float16),
        np.zeros(3, np.dtype(np.float32).newbyteorder()),
    ]
    assert served_by(arrays) == [("cpu", (0, 2)), ("numpy_ref", (1, 4, 5)), ("torch_ops", (3,))]
    # Gaussian and sphere have no fast kernel.
    assert served_by(arrays[:1], signs=False) == [("numpy_ref", (0,))]


def test_kernels_are_described_with_a_reason():
    described = {name: (available, reason) for name, available, reason in kernels.list_kernels()}
    assert list(described) == ["c", "triton", "torch", "numpy"]
    assert described["numpy"][0]
    assert all(reason for _, reason in described.values())


def test_an_unknown_kernel_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="c, triton, torch, numpy"), kernels.force_kernel("cuda"):
        pass


@NEEDS_C
def test_a_forced_kernel_does_not_take_what_it_cannot_serve():
    params = parameters([np.zeros(3, np.float64)])
    with kernels.force_kernel("c"), pytest.raises(ValueError, match=r"tensor 0 \(float64\)"):
        kernels.perturb(params, [(1, 0.5)])


def test_forcing_ends_with_the_context():
    params = parameters([np.zeros(300, np.float32)])
    kernels.perturb(params, [(1, 1.0)])
    with kernels.force_kernel("numpy"), kernels.force_kernel("torch"):
        kernels.perturb(params, [(1, -1.0)])
    assert not params.arrays[0].any()
    kernels.perturb(params, [(2, 1.0)])
    assert set(np.unique(params.arrays[0]).tolist()) == {-1.0, 1.0}


def test_an_unknown_distribution_is_refused():
    with pytest.raises(ValueError, match="rademacher, gaussian, sphere"):
        kernels.perturb(parameters([np.zeros(3, np.float32)]), [(1, 1.0)], "uniform")


@pytest.mark.parametrize("name", ["c", "torch", "numpy"])
def test_a_seed_out_of_range_is_refused_by_every_kernel(name):
    if selection.unavailable_reason(name):
        pytest.skip(selection.unavailable_reason(name))
    array = np.zeros(3, np.float32)
    with kernels.force_kernel(name):
        for seed in (-1, 2**64):
            with pytest.raises(ValueError, match="seed must be in"):
                kernels.perturb(parameters([array]), [(seed, 1.0)])
    assert not array.any()


@NEEDS_C
def test_the_c_table_refuses_what_it_does_not_know():
    from zo_core.kernels import _cpu

    array = np.zeros(3, np.float32)
    with pytest.raises(TypeError, match="native float32"):
        _cpu.prepare([(array.astype(np.float64), 0, 0)])
    with pytest.raises(ValueError, match="tensor_index"):
        _cpu.prepare([(array, 2**32, 0)])
    array.flags.writeable = False
    with pytest.raises((ValueError, BufferError)):
        _cpu.prepare([(array, 0, 0)])


@NEEDS_C
def test_replay_refuses_lists_of_unequal_length_and_missing_exponents(update):
    from zo_core.kernels import _cpu

    table = _cpu.prepare([(np.zeros(3, np.float32), 1, 0)])
    seeds, a = update(3, -40).seeds, update(3, -40).a
    one = np.zeros(1, np.int32)
    with pytest.raises(ValueError, match="one a for each seed"):
        _cpu.replay(table, (), seeds, a[:2].copy(), -40, 1.0, None, True, 1)
    with pytest.raises(ValueError, match="one exponent a tensor"):
        _cpu.replay(table, (), seeds, a, -40, 1.0, one, True, 1)


def test_without_the_extension_numpy_takes_over_and_it_is_said_once(monkeypatch, caplog):
    real = selection.unavailable_reason
    monkeypatch.setattr(
        selection, "unavailable_reason", lambda name: "not built" if name == "c" else real(name)
    )
    selection._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING, logger="zo_core.kernels"):
        assert served_by([np.zeros(3, np.float32)]) == [("numpy_ref", (0,))]
        assert served_by([np.zeros(3, np.float32)]) == [("numpy_ref", (0,))]
    assert [record.message for record in caplog.records] == [
        "the C kernels are missing, NumPy's take their place, slowly: not built"
    ]
    selection._warn_once.cache_clear()


def span_on(device_type, dtype="torch.float32"):
    """A span of a tensor on a device that this machine lacks."""
    array = SimpleNamespace(device=SimpleNamespace(type=device_type), dtype=dtype, ndim=1)
    return Span(array, 0, 0)


@pytest.mark.parametrize(
    ("device_type", "dtype", "kernel"),
    [
        ("cuda", "torch.float32", "triton"),  # NVIDIA, and AMD by HIP, which torch calls cuda
        ("cuda", "torch.bfloat16", "torch"),
        ("mps", "torch.float32", "torch"),
        ("xpu", "torch.float32", "torch"),
    ],
)
def test_each_device_has_its_kernel(device_type, dtype, kernel, monkeypatch):
    monkeypatch.setattr(selection, "unavailable_reason", lambda name: "")
    assert selection._name_for(span_on(device_type, dtype), signs=True) == kernel
    assert selection._name_for(span_on(device_type, dtype), signs=False) == "torch"


def test_a_gpu_without_triton_has_torchs_operations_and_it_is_said_once(monkeypatch, caplog):
    monkeypatch.setattr(selection, "unavailable_reason", lambda name: "no module")
    selection._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING, logger="zo_core.kernels"):
        assert selection._name_for(span_on("cuda"), signs=True) == "torch"
        assert selection._name_for(span_on("cuda"), signs=True) == "torch"
        assert selection._name_for(span_on("mps"), signs=True) == "torch"  # there is none for it
    (record,) = caplog.records
    assert "Triton kernels are missing" in record.message
    selection._warn_once.cache_clear()


def test_torchs_operations_need_no_float64_on_the_device(update):
    """Apple's GPUs have none: whatever the passes make of a tensor is of fewer bits."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class NoFloat64(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            found = func(*args, **(kwargs or {}))
            for leaf in tree_leaves(found):
                if isinstance(leaf, torch.Tensor) and leaf.ndim > 0:
                    assert leaf.dtype != torch.float64, func
            return found

    params = parameters([torch.linspace(-0.1, 0.1, 300)])
    with kernels.force_kernel("torch"), NoFloat64():
        grid = snap_(params)
        kernels.perturb(params, [(5, 2.0**-10), (7, -(2.0**-9))])
        kernels.replay(params, update(3, -40), grid.exponents)
        kernels.replay(params, update(3, -40), None)


def test_a_loss_is_summed_on_the_host_where_the_device_has_no_float64():
    import torch

    from zo_core.loss.module_loss import summed_in_float64

    class OnApplesGPU:
        device = SimpleNamespace(type="mps")

        def sum(self, dtype):
            raise TypeError("the MPS framework doesn't support float64")

        def cpu(self):
            return torch.tensor([0.5, 0.25])

    assert float(summed_in_float64(OnApplesGPU())) == 0.75
    assert summed_in_float64(torch.tensor([0.5, 0.25])).dtype == torch.float64


@pytest.mark.process
def test_the_passes_import_no_torch():
    code = (
        "import sys, numpy as np; from zo_core.perturbation import perturb_;"
        "perturb_([np.zeros(9, np.float32)], 1, 0.5); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
