"""Write the table of docs/audit.md from the outcomes that run.sh measured.

``python table.py --names`` prints the factories to audit; ``python table.py PAGE`` fills a page.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUTCOMES = Path(__file__).with_name("outcomes")
BEGIN, END = "<!-- audits: generated -->", "<!-- /audits -->"
SIGNS = {"pass": "✓", "fail": "**✗**", "not applicable": "–"}
_ZO_MUON = "[ZO-Muon](https://github.com/OPTML-Group/ZO-Muon) 166a8f3, `vit/zo_optimizer.py`"
_DECOMFL = "[DeComFL](https://github.com/ZidongLiu/DeComFL) 0c426e6"


@dataclass(frozen=True)
class Public:
    """One audited implementation."""

    target: str  # the factory
    what: str
    source: str


def _package(name: str, version: str) -> str:
    return f"[{name}](https://pypi.org/project/{name}/{version}/) {version}"


AUDITED = (
    Public(
        "packages:mezo_paper", "MeZO, from Algorithm 1", "[paper](https://arxiv.org/abs/2305.17333)"
    ),
    Public("packages:mezo", "`mezo.update`", _package("mezo", "0.0.1")),
    Public("packages:torcheggroll", "`TorchEggrollES`", _package("torcheggroll", "0.2.0")),
    Public("packages:eggroll_es", "`EggrollTrainer`", _package("eggroll-es", "0.2.0")),
    Public("packages:zosolvers", "`ZO_gauss_min`, central", _package("ZoSolvers", "0.1.5")),
    Public("packages:torchzero_spsa", "`torchzero.m.SPSA`", _package("torchzero", "0.4.4")),
    Public("packages:torchzero_rdsa", "`torchzero.m.RDSA`", _package("torchzero", "0.4.4")),
    Public("packages:torchzero_mezo", "`torchzero.m.MeZO`", _package("torchzero", "0.4.4")),
    Public("packages:zotitan", "`ZOOptimizer`, Gaussian", _package("ZOTitan", "0.1.0")),
    Public("packages:zotitan_low_rank", "`ZOOptimizer`, low rank", _package("ZOTitan", "0.1.0")),
    Public("packages:zotitan_polar", "`ZOOptimizer`, polar", _package("ZOTitan", "0.1.0")),
    Public("repositories:decomfl", "`RandomGradientEstimator`", _DECOMFL),
    Public("repositories:decomfl_paramwise", "the same, `paramwise_perturb`", _DECOMFL),
    Public("repositories:decomfl_hessian", "`HessianRandomGradientEstimator`", _DECOMFL),
    Public("repositories:decomfl_adam_forward", "`AdamForwardGradientEstimatorBatch`", _DECOMFL),
    Public("repositories:zo_muon_mezo", "`MeZOOptimizer`", _ZO_MUON),
    Public("repositories:zo_muon_sparse", "`SparseOptimizer`", _ZO_MUON),
    Public("repositories:zo_muon_hessian", "`HessianOptimizer`", _ZO_MUON),
    Public("repositories:zo_muon_lozo_1", "`LOZOOptimizer`, step 1", _ZO_MUON),
    Public("repositories:zo_muon_lozo_2", "`LOZOOptimizer`, step 2", _ZO_MUON),
    Public("repositories:zo_muon_lozo_100", "`LOZOOptimizer`, step 100", _ZO_MUON),
    Public("repositories:zo_muon_subzero_1", "`SubZeroOptimizer`, step 1", _ZO_MUON),
    Public("repositories:zo_muon_subzero_100", "`SubZeroOptimizer`, step 100", _ZO_MUON),
    Public("repositories:zo_muon_lowdim_1", "`LowDimOptimizer`, step 1", _ZO_MUON),
    Public("repositories:zo_muon_lowdim_2", "`LowDimOptimizer`, step 2", _ZO_MUON),
    Public("repositories:zo_muon_lowdim_muon_2", "the same, `muon`", _ZO_MUON),
)


def filled(page: str) -> str:
    """Put the table between a page's markers."""
    table = f"{BEGIN}\n{_table()}\n\n{_figures()}\n{END}"
    return re.sub(f"{BEGIN}.*?{END}", lambda _: table, page, flags=re.DOTALL)


def _table() -> str:
    letters = [chr(ord("a") + i) for i in range(12)]
    head = ["implementation", "source", *letters]
    rows = [head, ["---", "---", *[":-:"] * 12]]
    for public in AUDITED:
        outcomes = {f["letter"]: f["outcome"] for f in _outcome(public)["findings"]}
        rows.append([public.what, public.source, *(SIGNS[outcomes[letter]] for letter in letters)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _figures() -> str:
    """List the figure of each failed check."""
    rows = ["| implementation | check | found |", "|---|---|---|"]
    for public in AUDITED:
        for finding in _outcome(public)["findings"]:
            if finding["outcome"] == "fail":
                rows.append(f"| {public.what} | {finding['letter']} | {finding['figure']} |")
    return "\n".join(rows)


def _outcome(public: Public) -> dict[str, Any]:
    path = OUTCOMES / f"{public.target.partition(':')[2]}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["--names"]:
        print(*(public.target for public in AUDITED))
    else:
        PAGE = Path(sys.argv[1])
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
