"""One step in a process under a memory limit, telling its phases, since it may be killed in any."""

from __future__ import annotations

import devices


def try_step(model: str, method: str, batch: int, images: int | None) -> int | None:
    """Take one step; the last phase told is where a process without enough memory ended.

    Args:
        model: as :func:`zo_core.model_names.parse_model` takes it.
        method: a name in STEP_METHODS.
        batch: items a forward.
        images: items of a whole set worked through in micro-batches; None for one batch.

    Returns:
        The peak of resident memory, bytes; None where the system keeps none.
    """
    devices.phase("import")
    from bench.models.load import load_model
    from bench.workloads.steps import bind_step

    devices.phase("model")
    loaded = load_model(model)
    x, y = loaded.batch(images or batch)
    step = bind_step(loaded.module, x, y, method, micro_batch=batch)
    after = "backward" if method == "fedavg" else "after a forward"
    loaded.module.register_forward_pre_hook(lambda *_: devices.phase("forward"))
    loaded.module.register_forward_hook(lambda *_: devices.phase(after))
    step()
    devices.phase("done")
    return devices.read_host_memory().peak_rss_bytes
