"""The child's side of `run_isolated`: run one function and write what came of it to a file.

Imports the standard library only, since all that it loads is in the measured process.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":  # Python put this package's own folder first, with all its short names
    sys.path[:] = [place for place in sys.path if place != __file__.rpartition("/")[0]]

import contextlib
import ctypes
import importlib
import json
import os
import signal
import traceback
from pathlib import Path
from typing import Any

REPORT_VARIABLE = "DEVICES_ISOLATED_REPORT"
_PR_SET_PDEATHSIG = 1
_TRACEBACK_FRAMES = 4


def phase(name: str) -> None:
    """Report the current phase to the parent; do nothing outside `run_isolated`.

    The parent knows the last phase even if this process is killed in it.

    Args:
        name: E.g. "import", "forward", "backward".
    """
    report = os.environ.get(REPORT_VARIABLE)
    if report is not None:
        _append(report, {"phase": name})


def main(report: str) -> None:
    """Run the request in the report file's folder; leave without the interpreter's shutdown.

    Shutdown is skipped since the result is written: threads and libraries that hang or crash
    on the way out can't spoil it.
    """
    request = json.loads((Path(report).parent / "request.json").read_text())
    _die_with(request["parent_pid"])
    sys.path[:] = request["path"]
    try:
        value = resolve(request["target"])(*request["args"], **request["kwargs"])
        exit_code = 0
    except BaseException as error:  # SystemExit too: it is no result
        _append(report, {"error": _describe(error)})
        exit_code = 1
    else:
        _append_value(report, value)
    _flush()
    os._exit(exit_code)


def resolve(target: str) -> Any:
    """Return the function that "module:qualified.name" stands for."""
    module, _, name = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _append(report: str, line: dict[str, Any]) -> None:
    text = json.dumps(line) + "\n"
    descriptor = os.open(report, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, text.encode())
    os.close(descriptor)


def _append_value(report: str, value: Any) -> None:
    try:
        text = json.dumps({"value": value}, default=_plain)
    except (TypeError, ValueError, AttributeError) as error:
        _append(report, {"garbage": f"the result is not JSON: {type(error).__name__}: {error}"})
        return
    with Path(report).open("a") as file:
        file.write(text + "\n")


def _plain(item: Any) -> Any:
    """Return a dataclass as a dict of its fields; an object that writes itself, as it does."""
    if hasattr(item, "to_json"):
        return item.to_json()
    return {name: getattr(item, name) for name in item.__dataclass_fields__}


def _describe(error: BaseException) -> dict[str, Any]:
    frames = traceback.format_tb(error.__traceback__)[-_TRACEBACK_FRAMES:]
    return {
        "type": type(error).__name__,
        "message": str(error),
        "traceback": "".join(frames),
        "out_of_memory": isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError",
    }


def _die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent dies, so that none is orphaned."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the call
        os._exit(1)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # the function may have closed it
            stream.flush()


if __name__ == "__main__":
    main(sys.argv[1])
