"""How the plots look: colour, marker, line and hatch each suffice to identify a method."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.records.store import replacing

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
# For lines that have no look of their own, in turn.
COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "^", "D", "s", "v", "P", "X")
LINES = ("--", "-", ":", "-.")
_INK = "#1c2024"
# The counterpart of each colour on a dark page; a test checks that none is missing.
DARK = {
    "#ffffff": "#1c2024",
    _INK: "#e4e6e3",
    "#000000": "#e4e6e3",
    "#dddddd": "#3a4047",
    "#555555": "#b5bcc2",
    "#999999": "#7d858c",
    "#0072b2": "#56b4e9",
    "#56b4e9": "#8cc9ef",
    "#d55e00": "#ff9a57",
    "#009e73": "#4fd0a5",
    "#e69f00": "#f0bc4b",
    "#cc79a7": "#dfa0c4",
    "#f0e442": "#cfc653",
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
    "axes.prop_cycle": "cycler('color', ['555555'])",  # for marks that nobody colours
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


def look(name: str) -> Look:
    """Return the look of a method or algorithm; all unknown ones share one."""
    return LOOKS.get(name, _OTHER)


@contextmanager
def panel(
    title: str, x: str, y: str, size_inch: tuple[float, float] = _SIZE_INCH
) -> Iterator[tuple[Figure, Axes]]:
    """Give a figure of one labelled panel to draw on, in the plots' style."""
    with _own_settings():
        from matplotlib.figure import Figure  # not pyplot: no window, no global state

        figure = Figure(figsize=size_inch, layout="constrained")
        axes = figure.add_subplot()
        axes.set(title=title, xlabel=x, ylabel=y)
        yield figure, axes


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


def logarithmic_x(axes: Axes) -> None:
    """Make the drawn axis logarithmic, with as many labels, in plain figures, as there is room for.

    Call it after drawing: a narrow range gets labels between the powers of ten, which collide
    with each other when they are themselves written as powers.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    is_narrow = high < 200 * low
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    axes.xaxis.set_minor_formatter("{x:g}" if is_narrow else NullFormatter())


def save(plot: Plot, folder: Path, endings: Sequence[str] = ("png", "svg")) -> dict[str, Path]:
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
                temporary.write_text(with_dark_scheme(temporary.read_text()))
    return paths


def with_dark_scheme(svg: str) -> str:
    """Let an SVG follow the page's colour scheme: each colour has its counterpart in the dark."""
    rules = "".join(
        f'[style*="{what}: {light}"], [{what}="{light}"] {{ {what}: {dark} !important }}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme: dark) {{ {rules} }}</style>"
    head, tag, rest = svg.partition("<defs>")
    return f"{head}{style}{tag}{rest}"
