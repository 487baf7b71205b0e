"""What each section was measured on, where that is not what the page's title names."""

from __future__ import annotations

from bench.records.record import Record
from bench.records.record_index import Results
from bench.report.section import Section

_JOINED = {"fit": "memory", "formulas": "memory"}  # sections that show another group's figures
_COUNTED = ("bytes", "wire")  # lengths of messages, which no processor changes
_TIMED = ("time", "engine", "edge", "frontier")  # sections whose times depend on the ZO kernel
_FALLBACK = {"numpy": "ZO on NumPy’s kernels", "torch": "ZO on torch’s kernels"}


def page_device(results: Results) -> str | None:
    """Return the accelerator that a page's steps ran on; None for a page of the CPU."""
    names = {_accelerator(r) for r in results.by_case.values() if _is_on_device(r)}
    return ", ".join(sorted(names)) or None


def heading_remark(results: Results, section: Section) -> str:
    """Name a section's device, threads and slow ZO kernel, where they differ from the usual.

    On a page of the CPU only threads can differ. On a GPU's page every measured section is named.
    """
    records = results.group(_JOINED.get(section.group, section.group))
    if not records or section.group in _COUNTED:
        return ""
    return "; ".join(filter(None, (_machine(results, section, records), _slow(section, records))))


def _machine(results: Results, section: Section, records: list[Record]) -> str:
    threads, coarse = _threads(records, section), _precisions(records)
    if page_device(results) is None:
        own = section.threads is not None
        return f"measured with {threads}{coarse}" if own else coarse.removeprefix(", ")
    on_device = sorted({_accelerator(r) for r in records if _is_on_device(r)})
    on_cpu = not all(map(_is_on_device, records))
    places = " and ".join([*on_device, *([f"the CPU, {threads}"] * on_cpu)])
    return f"measured on {places}{coarse}"


def _precisions(records: list[Record]) -> str:
    """Name the precisions where one is not float32."""
    found = sorted({str(r.config["precision"]) for r in records if "precision" in r.config})
    return "" if set(found) <= {"fp32"} else f", {' and '.join(found)}"


def _slow(section: Section, records: list[Record]) -> str:
    """Name the slow kernels that took the place of C's or Triton's."""
    if section.group not in _TIMED:
        return ""
    kernels = {record.provenance.zo_kernel for record in records}
    return " and ".join(words for name, words in _FALLBACK.items() if name in kernels)


def _threads(records: list[Record], section: Section) -> str:
    found = {section.threads or record.provenance.device.get("threads") for record in records}
    numbers = " or ".join(sorted(str(n) for n in found if n is not None))
    return f"{numbers or 'an unknown number of'} thread{'' if numbers == '1' else 's'}"


def _is_on_device(record: Record) -> bool:
    return record.config.get("device") == "cuda"


def _accelerator(record: Record) -> str:
    accelerator = record.provenance.device.get("accelerator") or {}
    return str(accelerator.get("name", "the accelerator"))
