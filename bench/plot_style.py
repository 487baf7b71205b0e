"""How the plots look: told apart by colour, marker, line and hatch, so that any one may be lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.store import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 150
_SIZE_INCH = (4.4, 3.5)  # one panel, legible at the width of a phone


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The look of one method: a colour of Okabe and Ito's set and what works without colour."""

    color: str
    marker: str
    line: str
    hatch: str


LOOKS = {
    "inference": Look(color="#000000", marker="s", line="-", hatch=""),
    "zo": Look(color="#0072B2", marker="^", line="-", hatch="///"),
    "fedavg": Look(color="#D55E00", marker="o", line="-", hatch="\\\\"),
    "zowarmup": Look(color="#0072B2", marker="^", line="-", hatch="///"),
    "high-res-only": Look(color="#D55E00", marker="o", line="--", hatch="\\\\"),
}
_OTHER = Look(color="#009E73", marker="D", line=":", hatch="xx")

# Any: how this is typed differs between matplotlib's versions.
_STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "zobench",  # the same records give the same file
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A drawn figure with the words that go with it."""

    name: str  # file name without its ending
    caption: str  # what the marks are, n included
    alt: str  # for who does not see it
    figure: Figure


def look(name: str) -> Look:
    """Return the look of a method or algorithm; all unknown ones share one."""
    return LOOKS.get(name, _OTHER)


@contextmanager
def panel(title: str, x: str, y: str) -> Iterator[tuple[Figure, Axes]]:
    """Give a figure of one labelled panel to draw on, in the plots' style."""
    import matplotlib as mpl
    from matplotlib.figure import Figure  # not pyplot: no window, no global state

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE_INCH, layout="constrained")
        axes = figure.add_subplot()
        axes.set(title=title, xlabel=x, ylabel=y)
        yield figure, axes


def save(plot: Plot, folder: Path) -> dict[str, Path]:
    """Write a plot as PNG and as SVG, each whole or not at all.

    Returns:
        The files by their ending.
    """
    import matplotlib as mpl

    paths = {ending: folder / f"{plot.name}.{ending}" for ending in ("png", "svg")}
    for ending, path in paths.items():
        metadata = {"Date": None} if ending == "svg" else {}
        with mpl.rc_context(_STYLE), replacing(path) as temporary:
            plot.figure.savefig(temporary, format=ending, dpi=_DPI, metadata=metadata)
    return paths
