"""The paper's claims as data: what is compared with what, and the expected sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One row of a table less another, on the same seeds."""

    row: str
    other: str
    splits: tuple[str, ...]
    quantity: str = "test_accuracy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the paper states, and the differences that would confirm it."""

    title: str
    paper: str  # what it says, with its figures
    tables: tuple[str, ...]  # whose records can answer; the first one found does
    expected: Literal["more", "less", "same"]  # the first row of each comparison against the other
    comparisons: tuple[Comparison, ...]
    spread: tuple[str, ...] = ()  # rows whose spread over seeds is claimed to fall in this order
    remark: str = ""  # a caveat


_LOW_MAJORITY = ("10/90", "30/70")
_ALL = ("10/90", "30/70", "50/50", "70/30", "90/10")
_TABLE_3 = ("10/90", "50/50", "90/10")


def _against(
    table_rows: tuple[str, ...], other: str, *splits: str, q: str = "test_accuracy"
) -> tuple[Comparison, ...]:
    return tuple(Comparison(row=row, other=other, splits=splits, quantity=q) for row in table_rows)


CLAIMS: Final = (
    Claim(
        title="Low-resource clients are worth including",
        paper="ZOWarmUp is above High-Res-Only at every split: +10.0, +6.8, +6.6, +3.7, +3.1"
        " points from 10/90 to 90/10 (Table 2, CIFAR-10).",
        tables=("table2", "fig3"),
        expected="more",
        comparisons=_against(("zowarmup",), "high-res-only", *_ALL),
    ),
    Claim(
        title="They are served better: accuracy on the low-resource clients' own hold-outs",
        paper="Inclusion is the paper's motive; it prints no accuracy by group.",
        tables=("table2", "fig3"),
        expected="more",
        comparisons=(
            *_against(("zowarmup",), "high-res-only", *_LOW_MAJORITY, q="low_accuracy"),
            *_against(("zowarmup",), "high-res-only", *_LOW_MAJORITY, q="worst_decile_accuracy"),
        ),
        remark="A digits client's hold-out is two images, so the worst decile says little there.",
    ),
    Claim(
        title="ZOWarmUp against HeteroFL",
        paper="ZOWarmUp is above HeteroFL at every split on CIFAR-10, by 3.2 to 7.9 points.",
        tables=("table2",),
        expected="more",
        comparisons=_against(("zowarmup",), "heterofl", *_ALL),
        remark="HeteroFL's budget of bytes is FedAvg's here; the paper gives none.",
    ),
    Claim(
        title="Zeroth-order training from random weights ends below ZOWarmUp",
        paper="FedKSeed from scratch does not converge at any split.",
        tables=("table2",),
        expected="less",
        comparisons=_against(("fedkseed",), "zowarmup", *_LOW_MAJORITY),
        remark="Non-convergence is not reproduced: so small a network learns from scratch as well,"
        " if less in the same rounds; Table 2's record has its accuracies.",
    ),
    Claim(
        title="FedKSeed as phase two is as good",
        paper="53.4 against 54.3 at 10/90, within one standard deviation at every split.",
        tables=("table2",),
        expected="same",
        comparisons=_against(("zowarmup-fedkseed",), "zowarmup", *_ALL),
    ),
    Claim(
        title="The pivot: too early is bad, and so is too late",
        paper="At 10/90 the best pivot is 40 % of the rounds (54.2), 46.1 at 5 % and 50.7 at 80 %;"
        " at 50/50 it is 60 %.",
        tables=("fig4",),
        expected="less",
        comparisons=_against(
            ("pivot-5", "pivot-10", "pivot-20", "pivot-60", "pivot-80"),
            "pivot-40",
            *("10/90", "50/50"),
        ),
    ),
    Claim(
        title="Rademacher against Gaussian directions",
        paper="Rademacher is recommended for its smaller spread: the gain is 9.3 ± 1.4 against"
        " 11.9 ± 2.9 (Table 6, 12 runs), from unlike warm-up models.",
        tables=("table6",),
        expected="same",
        comparisons=_against(("rademacher",), "gaussian", "10/90", q="gain"),
        spread=("gaussian", "rademacher"),
        remark="Here both start from the same bits. In theory the second moments of the two"
        " estimates differ only by a factor of 1 + 2/d.",
    ),
    Claim(
        title="One step per round against many, on the same samples",
        paper="One step over all data is best or equal at most splits (Table 3), with a tau that"
        " the paper lowers as the steps grow.",
        tables=("table3",),
        expected="less",
        comparisons=_against(
            ("2-steps-tau-0.75", "4-steps-tau-0.75", "6-steps-tau-0.75"),
            "1-steps-tau-0.75",
            *_TABLE_3,
        ),
        remark="Here tau stays at 0.75 and the learning rate is the one searched for a single"
        " step, so only the number of steps changes.",
    ),
    Claim(
        title="Many steps with the paper's falling tau",
        paper="At 10/90: 54.3, 48.3, 51.6, 42.2 for 1, 2, 4, 6 steps with tau 0.75, 0.25, 0.1,"
        " 0.01.",
        tables=("table3",),
        expected="less",
        comparisons=_against(
            ("2-steps-tau-0.25", "4-steps-tau-0.1", "6-steps-tau-0.01"),
            "1-steps-tau-0.75",
            *_TABLE_3,
        ),
        remark="The literal form multiplies the step by tau², which alone would explain a loss.",
    ),
    Claim(
        title="A smaller tau, in its literal form",
        paper="The gain over the warm-up falls from 10.6 at tau = 0.75 to 3.8 at 0.1 (Figure 6).",
        tables=("fig6",),
        expected="less",
        comparisons=_against(
            tuple(f"rademacher-literal-{tau}" for tau in ("0.1", "0.25", "0.5")),
            "rademacher-literal-0.75",
            "10/90",
            q="gain",
        ),
    ),
    Claim(
        title="A smaller tau, with the step kept",
        paper="Not in the paper: if tau mattered as the radius of the finite difference, its effect"
        " would stay when the step no longer shrinks with tau².",
        tables=("fig6",),
        expected="same",
        comparisons=_against(
            tuple(f"rademacher-normalised-{tau}" for tau in ("0.1", "0.25", "0.5")),
            "rademacher-literal-0.75",
            "10/90",
            q="gain",
        ),
    ),
    Claim(
        title="More directions",
        paper="The spread over three seeds falls from 8.97 at S = 1 to 6.62 at 3 and 1.44 at 9"
        " (Figure 7).",
        tables=("fig7",),
        expected="more",
        comparisons=(
            *_against(("S-3",), "S-1", "10/90"),
            *_against(("S-9",), "S-3", "10/90"),
        ),
        spread=("S-1", "S-3", "S-9"),
    ),
    Claim(
        title="With FedAdam in both phases, low-resource clients are worth including too",
        paper="ZOWarmUp is above High-Res-Only at every split: +9.5, +7.0, +4.7, +2.6, +3.7 points"
        " from 10/90 to 90/10 (Table 4, CIFAR-10).",
        tables=("table4",),
        expected="more",
        comparisons=_against(("zowarmup-fedadam",), "high-res-only-fedadam", *_ALL),
    ),
    Claim(
        title="High-resource clients should switch to ZO as well",
        paper="Lo only is above hi + lo: +2.3, +2.0, +1.2 points at 10/90, 50/50, 90/10 (Table 7).",
        tables=("table7",),
        expected="more",
        comparisons=_against(("lo-only",), "hi-lo", *_TABLE_3),
        remark="The paper gives no gamma for the mixture; here it is the share of ZO clients.",
    ),
)
