"""The digits by known and by unseen writers, as a table: two splits of the same images."""

from __future__ import annotations

from bench.replication.spec import PaperTable, Row


def _rows(dataset: str) -> tuple[Row, ...]:
    """Three rows on one split of the digits; FedAvg takes High-Res-Only's rates."""
    return tuple(
        Row(
            name=f"{method}-{dataset}",
            label=f"{label}, {dataset}",
            rates=rates,
            fields={"algorithm": method, "dataset": dataset},
            one_split="50/50" if method == "fedavg" else None,
        )
        for method, label, rates in (
            ("high-res-only", "High-Res-Only", "high-res-only"),
            ("fedavg", "FedAvg, all clients", "high-res-only"),
            ("zowarmup", "ZOWarmUp", "zowarmup"),
        )
    )


WRITERS = PaperTable(
    name="writers",
    title="Digits by known and by unseen writers",
    rows=(*_rows("digits"), *_rows("digits-writers")),
    splits=("10/90", "50/50"),
    baseline="high-res-only-digits",
    scales=("smoke", "default"),
    notes=(
        "The paper has no such table. The digits' test images are by writers of the training"
        " images, those of digits-writers by others. Learning rates were searched on the digits.",
    ),
)
