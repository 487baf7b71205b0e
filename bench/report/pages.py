"""Every report below a folder of records, rebuilt into a tree of pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.records.store import RECORDS, StoreError
from bench.report.page import write_report


def folders_below(root: Path) -> list[Path]:
    """List the folders below root, or root itself, that contain records.

    Raises:
        StoreError: there is none.
    """
    folders = sorted({path.parents[1] for path in root.glob(f"**/{RECORDS}/*.json")})
    if not folders:
        raise StoreError(f"no folder with {RECORDS}/*.json in {root}; give a folder of results")
    return folders


def write_reports(roots: Sequence[Path], out: Path) -> list[Path]:
    """Write the report of every folder of records below some roots.

    Args:
        roots: e.g. ``results``.
        out: gets the same tree as below each root, with a report.html in place of the records.

    Returns:
        The HTML files.

    Raises:
        StoreError: a root has no records, or one is malformed.
    """
    return [
        write_report(folder, out / folder.relative_to(root))
        for root in roots
        for folder in folders_below(root)
    ]
