"""Run one function in a fresh Python process and report the outcome as one word."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from devices import child, heap
from devices.allocator import removed_preloads, without_allocators
from devices.child_exit import ChildExit, IsolatedResult, judge
from devices.isolated_pool import kill_group, waited_for
from devices.limits import Limit, open_limit
from devices.reading import missing
from devices.temporary import temporary_folder

_TAIL_BYTES = 4096


def run_isolated(
    fn: str | Callable[..., Any],
    *args: Any,
    timeout_s: float | None = None,
    limit_bytes: int | None = None,
    limit_method: str | None = None,
    env: Mapping[str, str] | None = None,
    **kwargs: Any,
) -> IsolatedResult:
    """Run `fn(*args, **kwargs)` in a fresh Python process.

    The caller continues even if the function hangs, crashes or runs out of memory, and no process
    of the child's process group outlives the call. If the caller is killed, the child dies with it
    (Linux); processes that the child started do not. In a thread of `IsolatedPool` it raises
    KeyboardInterrupt if the pool has ended its children.

    Args:
        fn: "module:qualified.name", or a function defined at the top of a module.
        args: JSON data. The result must be JSON data too, or have `to_json()`.
        timeout_s: Seconds after which the child is killed; None waits without limit.
        limit_bytes: Memory limit that the kernel enforces; None for no limit.
        limit_method: "cgroup" or "RLIMIT_DATA" to insist on one; None for the best that works.
        env: Environment variables added to this process's. MALLOC_ARENA_MAX is 1 unless set
            here, so that `measure` can trim the child's whole heap. This process's settings of
            malloc (MALLOC_*, GLIBC_TUNABLES) and preloaded allocators are not passed on.
        kwargs: JSON data.

    Returns:
        The outcome; an error in the child is a status, not an exception.

    Raises:
        ValueError: fn cannot be imported by name, or limit_bytes or limit_method is out of range.
        TypeError: An argument is not JSON data.
        OSError: No memory limit can be enforced here.

    >>> run_isolated("math:sqrt", 16).value
    4.0
    """
    target = fn if isinstance(fn, str) else _name_of(fn)
    request = json.dumps(_request(target, args, kwargs))
    limit = None if limit_bytes is None else open_limit(limit_bytes, method=limit_method)
    child_env = {**without_allocators(os.environ), **heap.ONE_ARENA, **(env or {})}
    try:
        with temporary_folder() as folder:
            ended = _run(folder, request, limit, timeout_s, child_env)
        peak = missing("byte", "no limit was set") if limit is None else limit.peak()
        was_killed = ended.code == -signal.SIGKILL
        exceeded = limit is not None and limit.exceeded(was_killed=was_killed)
        lower = None if limit is None else limit.undercut()
    finally:
        if limit is not None:
            limit.close()
    status, error = judge(ended, exceeded, timeout_s)
    if lower is not None and (status == "does not fit" or was_killed):
        status, error = "error", f"memory ran out, but {lower}"
    return IsolatedResult(
        status=status,
        value=ended.report.get("value") if status == "ok" else None,
        error=error,
        phase=ended.report.get("phase"),
        exit_code=None if ended.code < 0 else ended.code,
        signal_name=signal.Signals(-ended.code).name if ended.code < 0 else None,
        output_tail=ended.output_tail,
        seconds=ended.seconds,
        limit_bytes=limit_bytes,
        limit_method=None if limit is None else limit.method,
        limit_peak_bytes=peak,
        stack_limit_bytes=None if limit is None else limit.stack_bytes,
        removed_preloads=removed_preloads(child_env),
    )


class _Tail:
    """Drain a pipe in a thread and keep its end, so that no amount of output blocks the child."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._kept = b""
        self._pipe = pipe
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def text(self) -> str:
        # A grandchild in a session of its own may hold the pipe open: wait, but not for ever.
        self._thread.join(timeout=1.0)
        return self._kept.decode(errors="replace")

    def _drain(self) -> None:
        with self._pipe:
            while block := self._pipe.read(_TAIL_BYTES):
                self._kept = (self._kept + block)[-_TAIL_BYTES:]


def _name_of(fn: Callable[..., Any]) -> str:
    module, name = fn.__module__, fn.__qualname__
    if module == "__main__":
        # `python -m package.module` runs a module that has an importable name too.
        spec = sys.modules["__main__"].__spec__
        module = module if spec is None else spec.name
    if module == "__main__" or "<" in name:
        raise ValueError(
            f"fn must be importable by name in a fresh process, got {module}:{name}; "
            'define it at the top of a module, or pass "module:name"'
        )
    return f"{module}:{name}"


def _request(target: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "target": target,
        "args": args,
        "kwargs": kwargs,
        "path": [entry or str(Path.cwd()) for entry in sys.path],
        "parent_pid": os.getpid(),
    }


def _run(
    folder: Path,
    request: str,
    limit: Limit | None,
    timeout_s: float | None,
    env: Mapping[str, str],
) -> ChildExit:
    report = folder / "report.jsonl"
    report.touch()
    (folder / "request.json").write_text(request)
    command = [sys.executable, child.__file__, str(report)]
    started = time.perf_counter()
    process = subprocess.Popen(
        command if limit is None else limit.wrap(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        env={**env, child.REPORT_VARIABLE: str(report)},
        start_new_session=True,
    )
    assert process.stdout is not None
    tail = _Tail(process.stdout)
    timed_out = _wait(process, timeout_s)
    return ChildExit(
        code=process.returncode,
        timed_out=timed_out,
        seconds=time.perf_counter() - started,
        report=_read(report),
        output_tail=tail.text(),
    )


def _wait(process: subprocess.Popen[bytes], timeout_s: float | None) -> bool:
    """Wait for the child; whatever happens, leave nothing of its process group alive."""
    with waited_for.get().holding(process.pid):
        try:
            process.wait(timeout_s)
            return False
        except subprocess.TimeoutExpired:
            return True
        finally:
            kill_group(process.pid)
            process.wait()


def _read(report: Path) -> dict[str, Any]:
    """Merge the report's lines; a line cut short by a kill is left out."""
    merged: dict[str, Any] = {}
    for line in report.read_text().splitlines():
        try:
            merged.update(json.loads(line))
        except ValueError:
            break
    return merged
