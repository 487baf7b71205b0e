"""The paper's Tables 2 to 7 and Figures 4, 6 and 7 as printed: test accuracy in per cent.

Legate, Rish, Belilovsky, arXiv 2509.03503, PMLR v330.  Tables are read off the PDF; the figures'
values are digitised from it (about a tenth of an axis unit).  Nothing computes with them except to
show the difference.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.records.details.tables import Printed

SPLITS = ("10/90", "30/70", "50/50", "70/30", "90/10")
THREE_SPLITS = ("10/90", "50/50", "90/10")


def line(text: str, splits: tuple[str, ...] = SPLITS) -> Mapping[str, Printed]:
    """Read a table's line: "54.3(4.8) 72.4(2.5)", a value a split; "nc" is no value.

    >>> line("54.3(4.8) nc", ("10/90", "30/70"))
    {'10/90': Printed(mean=54.3, std=4.8)}
    """
    cells = dict(zip(splits, text.split(), strict=True))
    return {split: _cell(cell) for split, cell in cells.items() if cell != "nc"}


def _cell(text: str) -> Printed:
    mean, _, std = text.rstrip(")").partition("(")
    return Printed(mean=float(mean), std=float(std) if std else None)


TABLE_2 = {
    "heterofl": line("51.1(6.6) 64.5(5.2) 71.3(2.3) 76.2(3.3) 77.1(3.4)"),
    "high-res-only": line("44.3(6.0) 65.6(3.6) 71.1(1.0) 78.6(0.6) 81.4(1.6)"),
    "fedkseed": line("nc nc nc nc nc"),
    "zowarmup-fedkseed": line("53.4(5.3) 73.6(1.6) 77.3(1.5) 81.2(0.9) 84.4(0.6)"),
    "zowarmup": line("54.3(4.8) 72.4(2.5) 77.7(0.5) 82.3(0.8) 84.5(1.3)"),
}
TABLE_2_IMAGENET32 = {
    "heterofl": line("16.3(0.4) 20.4(0.8) 20.8(0.7) 20.7(0.8) 19.8(0.8)"),
    "high-res-only": line("10.9(0.3) 23.7(0.8) 31.5(0.3) 36.4(0.3) 39.9(0.2)"),
    "fedkseed": line("nc nc nc nc nc"),
    "zowarmup-fedkseed": line("11.2(0.7) 24.5(0.4) 31.9(0.3) 37.0(0.2) 40.2(0.3)"),
    "zowarmup": line("12.3(0.8) 25.3(1.3) 31.9(0.4) 38.8(1.1) 41.5(1.6)"),
}
TABLE_3 = {  # by local steps
    1: TABLE_2["zowarmup"],
    2: line("48.3(4.0) 71.2(1.7) 78.0(1.3) 81.2(1.3) 83.4(0.4)"),
    4: line("51.6(6.1) 67.9(2.0) 76.8(1.4) 80.1(2.1) 83.1(0.4)"),
    6: line("42.2(3.6) 65.4(5.1) 72.7(1.6) 77.4(2.0) 78.5(2.7)"),
}
TABLE_3_TAU = {1: 0.75, 2: 0.25, 4: 0.1, 6: 0.01}
TABLE_4 = {
    "high-res-only-fedadam": line("36.9(1.4) 54.1(4.0) 62.3(0.6) 67.1(0.7) 69.6(1.1)"),
    "zowarmup-fedadam": line("46.4(3.5) 61.1(2.1) 67.0(1.4) 69.7(0.6) 73.3(0.9)"),
}
TABLE_5 = {
    "high-res-only": line("37.8(3.0) 49.9(1.1) 55.0(1.5) 58.3(1.5) 59.3(0.7)"),
    "zowarmup": line("42.9(2.9) 52.9(1.1) 57.0(1.4) 59.2(1.1) 60.3(1.2)"),
}
TABLE_6_GAIN = {  # over the warm-up; the split is not said and taken to be 10/90
    "gaussian": line("11.9(2.9)", ("10/90",)),
    "rademacher": line("9.3(1.4)", ("10/90",)),
}
TABLE_7 = {
    "hi-lo": line("48.8(5.4) 76.2(1.6) 81.8(0.7)", THREE_SPLITS),
    "lo-only": line("51.1(4.3) 78.2(0.9) 83.0(0.9)", THREE_SPLITS),
}
FIGURE_4 = {  # pivot of 500 rounds
    25: line("46.1 64.9", ("10/90", "50/50")),
    50: line("46.8 72.5", ("10/90", "50/50")),
    100: line("51.7 76.1", ("10/90", "50/50")),
    200: line("54.2 77.5", ("10/90", "50/50")),
    300: line("50.4 78.8", ("10/90", "50/50")),
    400: line("50.7 76.5", ("10/90", "50/50")),
}
FIGURE_6_GAIN = {  # (distribution, tau): gain over a warm-up of 75 of 500 rounds
    ("rademacher", 0.1): line("3.8(2.6)", ("10/90",)),
    ("rademacher", 0.25): line("8.9(3.5)", ("10/90",)),
    ("rademacher", 0.5): line("11.2(1.8)", ("10/90",)),
    ("rademacher", 0.75): line("10.6(1.3)", ("10/90",)),
    ("gaussian", 0.1): line("2.8(2.0)", ("10/90",)),
    ("gaussian", 0.25): line("4.5(2.3)", ("10/90",)),
    ("gaussian", 0.5): line("9.6(3.3)", ("10/90",)),
    ("gaussian", 0.75): line("8.8(3.0)", ("10/90",)),
}
FIGURE_7_SPREAD = {1: 8.97, 3: 6.62, 9: 1.44}  # of three seeds at 10/90; variance or std, unsaid
