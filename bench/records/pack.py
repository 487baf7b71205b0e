"""One folder of records as a ZIP file that can be sent, and what it tells about its sender."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from bench.records.record import Record
from bench.records.store import RECORDS, read_records, replacing

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same records give the same file


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A packed folder."""

    path: Path
    records: int
    folder: str  # below results/, where the records belong
    host_name: str  # which the records contain
    uncommitted: int  # records from a checkout with uncommitted changes


def pack_records(folder: Path, out: Path | None = None) -> Pack:
    """Check the records of a folder and pack them.

    Args:
        folder: an output folder of the suite.
        out: the ZIP file; by default named by machine and scale, in the current folder.

    Raises:
        StoreError: there are no records, or one is not valid.
        OSError: the file cannot be written.
    """
    records = read_records(folder)
    newest = max(records, key=lambda record: record.provenance.created)
    target = f"{_slug(newest)}/{newest.provenance.scale}"
    path = out or Path(f"zobench-{target.replace('/', '-')}.zip")
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for file in sorted((folder / RECORDS).glob("*.json")):
            info = zipfile.ZipInfo(f"{target}/{RECORDS}/{file.name}", _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, file.read_bytes())
    return Pack(
        path=path,
        records=len(records),
        folder=target,
        host_name=str(newest.provenance.device.get("name") or ""),
        uncommitted=sum(bool(record.provenance.dirty) for record in records),
    )


def _slug(record: Record) -> str:
    """Name a machine for a folder: its chip and cores, in lower case."""
    device = record.provenance.device
    accelerator = (device.get("accelerator") or {}).get("name")
    chip = accelerator or device.get("soc") or device.get("arch") or "machine"
    words = f"{chip} {device.get('logical_cores') or ''}core"
    words = re.sub(r"\((r|tm)\)|@.*|processor|cpu", " ", words.lower())
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-")
