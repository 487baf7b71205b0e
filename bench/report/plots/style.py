"""How the plots look: one colour, marker and line for each method, on all pages."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from bench.records.store import replacing
from bench.report.plots.inline import hover_id, with_hover

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


# A method has the same look on every page; the page's bars have the same colours.
LOOKS = {
    "inference": Look(color="#6B7075", marker="s", line="-"),
    "zo": Look(color="#0072B2", marker="^", line="-"),
    "zowarmup": Look(color="#0072B2", marker="^", line="-"),
    "fedavg": Look(color="#D55E00", marker="o", line="-"),
    "high-res-only": Look(color="#D55E00", marker="o", line="--"),
    "zowarmup-fedadam": Look(color="#0072B2", marker="^", line="-"),
    "high-res-only-fedadam": Look(color="#D55E00", marker="o", line="--"),
    "heterofl": Look(color="#009E73", marker="D", line=":"),
    "fjord": Look(color="#8B5A2B", marker="P", line="-."),
    "fedkseed": Look(color="#CC79A7", marker="s", line=":"),
    "fedkseed-pro": Look(color="#8B5A2B", marker="X", line="-"),
    "one-step": Look(color="#0072B2", marker="^", line="-"),
    "one-step-s3": Look(color="#56B4E9", marker="v", line="--"),
    "one-step-lora": Look(color="#009E73", marker="D", line=":"),
    "zowarmup-fedkseed": Look(color="#E69F00", marker="v", line="-."),
}
# For lines that are no method of these, in turn: rows of one method with other settings.
_OTHERS = (
    Look(color="#0072B2", marker="^", line="-"),
    Look(color="#56B4E9", marker="o", line="--"),
    Look(color="#009E73", marker="D", line=":"),
    Look(color="#CC79A7", marker="s", line="-."),
    Look(color="#E69F00", marker="v", line="--"),
    Look(color="#8B5A2B", marker="P", line="-"),
    Look(color="#000000", marker="X", line=":"),
)
_INK = "#1c2024"
_TITLE_COLUMNS = 38  # of characters that fit a panel's width

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
    "axes.prop_cycle": "cycler('color', ['555555'])",  # for marks that nobody colours
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "zobench",  # the same records give the same file
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A drawn figure with the words that go with it."""

    name: str  # file name without its ending
    caption: str  # what the marks are, n included
    alt: str  # for screen readers
    figure: Figure


def look(name: str, index: int = 0) -> Look:
    """Return the look of a method or algorithm; of anything else, one by its place in a plot."""
    return LOOKS.get(name) or _OTHERS[index % len(_OTHERS)]


def hover(axes: Axes, x: float, y: float, text: str) -> None:
    """Let a page show a text where the mouse is over a point."""
    axes.plot([x], [y], "o", markersize=10, alpha=0.0, gid=hover_id(text))


@contextmanager
def panel(
    title: str, x: str, y: str, size_inch: tuple[float, float] = _SIZE_INCH
) -> Iterator[tuple[Figure, Axes]]:
    """Give a figure of one labelled panel to draw on, in the plots' style."""
    with _own_settings():
        from matplotlib.figure import Figure  # not pyplot: no window, no global state

        figure = Figure(figsize=size_inch, layout="constrained")
        axes = figure.add_subplot()
        axes.set(title=_wrapped(title), xlabel=x, ylabel=y)
        yield figure, axes


def _wrapped(title: str) -> str:
    """Break a title that is wider than the panel, as of a model with a long name."""
    lines = (wrap(line, _TITLE_COLUMNS) or [""] for line in title.split("\n"))
    return "\n".join(part for parts in lines for part in parts)


@contextmanager
def _own_settings() -> Iterator[None]:
    """Draw by matplotlib's defaults and the plots' style, whatever the caller's settings are."""
    named = os.environ.pop("MPLBACKEND", None)  # a notebook's, which may not even exist here
    import matplotlib as mpl

    if named is not None:
        os.environ["MPLBACKEND"] = named
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def save(plot: Plot, folder: Path, endings: Sequence[str] = ("svg",)) -> dict[str, Path]:
    """Write a plot to files, each whole or not at all.

    Args:
        plot: drawn.
        folder: must exist.
        endings: of the files, which are named by the plot.

    Returns:
        The files by their ending.
    """
    paths = {ending: folder / f"{plot.name}.{ending}" for ending in endings}
    for ending, path in paths.items():
        metadata = {"Date": None} if ending == "svg" else {}
        with _own_settings(), replacing(path) as temporary:
            plot.figure.savefig(temporary, format=ending, dpi=_DPI, metadata=metadata)
            if ending == "svg":
                temporary.write_text(with_hover(temporary.read_text()))
    return paths
