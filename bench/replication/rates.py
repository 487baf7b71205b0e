"""The chosen learning rates: a committed file for each scale, written from a search's record.

``python -m bench.replication.rates FOLDER`` takes them from the records of a folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.records.case_name import CaseName
from bench.records.details.tables import SearchDetails, StageTrace
from bench.records.record import Record
from bench.records.store import StoreError, read_record, read_records, record_path, replacing
from bench.records.typed_json import from_json
from bench.replication.spec import Rates

_FOLDER = Path(__file__).with_name("rates")
SEARCH_CASE = "tables/search"


def read_rates(name: str) -> Rates:
    """Read the rates of a file by its name."""
    data = json.loads((_FOLDER / f"{name}.json").read_text())
    rates: Rates = data["rates"]
    return rates


@dataclass(frozen=True, slots=True, kw_only=True)
class RatesInUse:
    """Learning rates by method, and where they come from."""

    rates: Rates
    origin: str


def rates_in_use(name: str, folder: Path) -> RatesInUse:
    """Take the rates that a search in a run's folder chose, and a file's for the other methods.

    Args:
        name: of the file.
        folder: output folder of the run.
    """
    committed = str(json.loads((_FOLDER / f"{name}.json").read_text())["origin"])
    search = search_in(folder)
    found = {} if search is None or search.config["rates"] != name else rates_of(search)
    if search is None or not found:
        return RatesInUse(rates=read_rates(name), origin=committed)
    origin = f"{', '.join(found)}: {_origin(search)}; others: {committed}"
    return RatesInUse(rates={**read_rates(name), **found}, origin=origin)


def search_in(folder: Path) -> Record | None:
    """Read the search's record of a run's folder; None where there is none."""
    path = record_path(folder, CaseName.of("tables", "search"))
    return read_record(path) if path.exists() else None


def traces_in(folder: Path, config: Mapping[str, Any]) -> dict[str, tuple[StageTrace, ...]]:
    """Read what an earlier search in a folder chose by the same config, by method."""
    search = search_in(folder)
    if search is None or search.config != config:
        return {}
    return dict(from_json(SearchDetails, search.details).methods)


def _origin(search: Record) -> str:
    return f"search at scale {search.provenance.scale}, {search.provenance.created}"


def rates_of(search: Record) -> dict[str, dict[str, float]]:
    """Collect what a search's record chose, stage after stage."""
    methods = from_json(SearchDetails, search.details).methods
    return {method: chosen_rates(stages) for method, stages in methods.items()}


def chosen_rates(stages: Sequence[StageTrace]) -> dict[str, float]:
    """Collect the rates that a method's stages chose."""
    return {name: rate for stage in stages for name, rate in stage.chosen.items()}


def write_rates(search: Record) -> Path:
    """Put a search's rates into the file of its scale; methods that it did not search stay."""
    name = search.config["rates"]
    path = _FOLDER / f"{name}.json"
    known: Mapping[str, Any] = json.loads(path.read_text())["rates"] if path.exists() else {}
    data = {"origin": _origin(search), "rates": {**known, **rates_of(search)}}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n")
    return path


def main() -> None:
    """Take the rates from a folder of records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="output folder of `zobench run --only search`")
    folder = parser.parse_args().folder
    try:
        (search,) = (record for record in read_records(folder) if record.case == SEARCH_CASE)
    except (StoreError, ValueError) as error:
        parser.error(f"{folder} holds no search's record ({error})")
    print(write_rates(search))


if __name__ == "__main__":
    main()
