"""The reports of several folders of records, with an index that lists and compares them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.records.store import RECORDS, StoreError
from bench.report.machines import column_names, write_index
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
    """Write the report of every folder of records below some roots, and the index of them.

    Args:
        roots: e.g. ``results``.
        out: gets the same tree as below each root, with a report.html in place of the records.

    Returns:
        The HTML files, the index last.

    Raises:
        StoreError: a root has no records, or one is malformed.
    """
    targets = {
        folder: out / folder.relative_to(root) for root in roots for folder in folders_below(root)
    }
    return _write_all(targets, out)


def write_comparison(folders: Sequence[Path], out: Path) -> list[Path]:
    """Write the reports of several folders of records, and the index that compares them.

    Args:
        folders: output folders of the suite, one per machine.
        out: gets the index, and a folder for each report.

    Returns:
        The HTML files, the index last.

    Raises:
        StoreError: a folder has no records, or one is malformed.
    """
    names = column_names(folders)
    return _write_all({f: out / name.strip("/") for name, f in names.items()}, out)


def _write_all(targets: dict[Path, Path], out: Path) -> list[Path]:
    pages = {folder: write_report(folder, target) for folder, target in targets.items()}
    return [*pages.values(), write_index(pages, out)]
