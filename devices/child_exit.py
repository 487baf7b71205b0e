"""What came of an isolated run: the evidence, and the one word that it amounts to."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from devices.reading import Reading, to_plain

Status = Literal["ok", "error", "timeout", "killed", "does not fit", "garbage"]

# What libraries say when an allocation fails: glibc, torch, the C++ runtime, Python.
_NO_MEMORY = ("cannot allocate memory", "can't allocate memory", "bad_alloc", "memoryerror")


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolatedResult:
    """Hold the result of one isolated run.

    Args:
        status: "ok"; "error": it raised, or left with a code; "timeout"; "killed": a signal
            ended it; "does not fit": memory ran out, under a limit or not; "garbage": it ended
            without a readable result.
        value: What the function returned, after JSON; None unless status is "ok".
        error: Exception type, message and the traceback's tail, or how it ended; None if "ok".
        phase: The last phase that the child reported by `devices.phase`.
        exit_code: The child's exit code, None if a signal ended it.
        signal_name: The signal that ended it, e.g. "SIGSEGV".
        output_tail: The end of what it printed, stdout and stderr together.
        seconds: Wall time of the child, its start included.
        limit_bytes: The memory limit it ran under.
        limit_method: "cgroup v1", "cgroup v2" or "RLIMIT_DATA"; None without a limit.
        limit_peak_bytes: The largest memory that the limit's counter saw.
        stack_limit_bytes: The stack limit that was set for it, since the memory limit counts each
            thread's stack by it; None if it was not changed.
        removed_preloads: Allocators in LD_PRELOAD that were removed for it.
    """

    status: Status
    value: Any
    error: str | None
    phase: str | None
    exit_code: int | None
    signal_name: str | None
    output_tail: str
    seconds: float
    limit_bytes: int | None
    limit_method: str | None
    limit_peak_bytes: Reading
    stack_limit_bytes: int | None = None
    removed_preloads: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON data."""
        return to_plain(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildExit:
    """Hold the evidence of a child that has ended.

    Args:
        code: Its exit code, or minus the number of the signal that ended it.
        timed_out: Whether its time ran out.
        report: What it wrote to its report: "value", "error", "garbage", "phase".
        output_tail: The end of what it printed.
        seconds: Wall time, its start included.
    """

    code: int
    timed_out: bool
    report: dict[str, Any]
    output_tail: str
    seconds: float


def judge(ended: ChildExit, exceeded: bool, timeout_s: float | None) -> tuple[Status, str | None]:
    """Return the status of a run and what went wrong in it.

    Args:
        ended: The evidence.
        exceeded: Whether the kernel killed it for exceeding its memory limit.
        timeout_s: The time that it was given.

    Returns:
        The status, and the error's text, None where the status is "ok".
    """
    if "value" in ended.report:
        return "ok", None
    if ended.timed_out:
        return "timeout", f"still running after {timeout_s} s, killed"
    if exceeded:
        return "does not fit", "killed by the kernel for exceeding its memory limit"
    if "error" in ended.report:
        return _judge_exception(ended.report["error"])
    if "garbage" in ended.report:
        return "garbage", ended.report["garbage"]
    return _judge_exit(ended)


def _judge_exception(error: Mapping[str, Any]) -> tuple[Status, str]:
    text = f"{error['type']}: {error['message']}"
    no_memory = error["out_of_memory"] or _says_no_memory(text)
    return "does not fit" if no_memory else "error", f"{text}\n{error['traceback']}"


def _judge_exit(ended: ChildExit) -> tuple[Status, str]:
    if ended.code != 0 and _says_no_memory(ended.output_tail):
        return "does not fit", "ended by a failed allocation, see the output"
    if ended.code < 0:
        return "killed", f"killed by {signal.Signals(-ended.code).name}"
    if ended.code > 0:
        return "error", f"left with exit code {ended.code} and no result"
    return "garbage", "left with exit code 0 and no result"


def _says_no_memory(text: str) -> bool:
    return any(phrase in text.lower() for phrase in _NO_MEMORY)
