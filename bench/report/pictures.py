"""The pictures that docs show, drawn from the committed records by ``make docs``."""

from __future__ import annotations

from pathlib import Path

from bench.records.record_index import Results
from bench.records.store import read_records
from bench.report.plots.by_group import PLOTS, plots_of
from bench.report.plots.style import save

FOLDER = Path("docs") / "pictures"
PICTURES = {  # the plot's name -> the records it is drawn from
    "memory-resnet18": Path("results/xeon-2core/default"),
    "instruct-loss-rounds": Path("results/epyc-2core/llm"),
    "instruct-loss-item-forwards": Path("results/epyc-2core/llm"),
}


def update(repository: Path) -> list[Path]:
    """Draw every picture again.

    Args:
        repository: root of the checkout.

    Returns:
        The PNG files.
    """
    (repository / FOLDER).mkdir(exist_ok=True)
    paths = []
    for folder in dict.fromkeys(PICTURES.values()):
        results = Results.of(read_records(repository / folder))
        for plot in (plot for group in PLOTS for plot in plots_of(results, group)):
            if PICTURES.get(plot.name) == folder:
                paths.append(save(plot, repository / FOLDER, ("png",))["png"])
    return paths


if __name__ == "__main__":
    print(*update(Path.cwd()), sep="\n")
