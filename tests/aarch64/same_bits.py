"""Hold an emulated machine's records against another machine's: usage: same_bits.py OUT REFERENCE.

Exit 0 where every digest, payload, count of changed weights and tensor peak is equal and the
emulated run claims no time, energy or process memory; 1, with what differs, where not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_EXACT_UNITS = {"byte", "count"}


def read(folder: Path) -> dict[str, Any]:
    files = sorted((folder / "records").glob("*.json"))
    return {record["case"]: record for record in map(json.loads, (f.read_text() for f in files))}


def told(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what must be the same everywhere: digests and whole numbers that are believed."""
    found = {
        name: metric["value"]
        for name, metric in record["metrics"].items()
        if metric["unit"] in _EXACT_UNITS and metric["value"] is not None
    }
    return found | {k: v for k, v in record["details"].items() if k == "digest"}


def differences(emulated: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    for case, record in emulated.items():
        if not record["provenance"]["device"]["emulator"]:
            yield f"{case}: not marked as emulated"
        if record["status"] != "ok":
            yield f"{case}: {record['status']}: {record['error']}"
        for name, metric in record["metrics"].items():
            if metric["unit"] in {"second", "joule"} and metric["value"] is not None:
                yield f"{case}: {name}: claims {metric['value']} {metric['unit']}"
        if record["group"] in _EXACT_GROUPS:
            theirs = told(other[case]) if case in other else {}
            for name, value in told(record).items():
                if theirs.get(name) != value:
                    yield f"{case}: {name}: {value}, there {theirs.get(name)}"


# A training's bytes depend on what it drew, not on what it computed: they are exact too.
_EXACT_GROUPS = {"bytes", "engine", "memory"}


def main(out: Path, reference: Path) -> int:
    emulated, other = read(out), read(reference)
    digests = [case for case, record in emulated.items() if "digest" in record["details"]]
    found = list(differences(emulated, other))
    if not digests:
        found.append("no record with a digest: run the group engine")
    print("\n".join(found) or f"{len(emulated)} records, the same bits on both machines")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))
