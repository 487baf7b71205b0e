"""What the meters themselves cost: a ZO step without, in a measured region, under the tracker."""

from __future__ import annotations

import devices
from bench.workloads.timing import take_turns


def time_meters(model: str, batch: int, repeats: int) -> dict[str, list[float]]:
    """Time one ZO step turn by turn, so that noise meets all meters alike.

    Args:
        model: as :func:`zo_core.model_names.parse_model` takes it.
        batch: items.
        repeats: turns; one more comes first, unmeasured.

    Returns:
        Seconds of each turn by "off", "host" (baseline, reset and peak included) and "tensors".
    """
    from bench.models.load import load_model
    from bench.workloads.steps import bind_step
    from devices.tensor_memory import track_tensors

    loaded = load_model(model)
    x, y = loaded.batch(batch)
    step = bind_step(loaded.module, x, y, "zo", micro_batch=batch)

    def measured() -> None:
        with devices.measure():
            step()

    def tracked() -> None:
        with track_tensors(parameters=loaded.module.parameters(), existing=[x, y]):
            step()

    return take_turns({"off": step, "host": measured, "tensors": tracked}, repeats)
