"""Starts programs, and is the only module that does: no shell, a fixed environment, nothing left running afterwards.

A child gets its own session and process group, /dev/null as stdin and only the environment passed to it. On Linux it
dies with the thread that started it. `run_encoder` has no time limit: an operator decides whether an encode hangs.
`capture` and `lines` run short tools and have one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess  # a test checks that no other module imports it
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from proxx.contracts.errors import ToolchainMissing
from proxx.ffmpeg.progress import EncodeProgress, LineSplitter, ProgressReader

ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType({"LC_ALL": "C", "TZ": "UTC", "AV_LOG_FORCE_NOCOLOR": "1"})
STDERR_KEPT: Final = 64 << 10  # bytes of the end of stderr that a FinishedProcess keeps
GRACE_SECONDS: Final = 5  # from SIGTERM to SIGKILL: ffmpeg writes its trailer and exits
_TICK_MS: Final = 100  # how often `should_stop` is asked while the process prints nothing
_CHUNK: Final = 64 << 10
_PR_SET_PDEATHSIG: Final = 1
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM)

# Loaded before any fork. PyDLL keeps the interpreter lock, so the forked child need not acquire it.
_LIBC: Final = ctypes.PyDLL(None) if sys.platform == "linux" else None

Ending: TypeAlias = Literal["exited", "stopped", "timeout"]
ByteSink: TypeAlias = Callable[[bytes], None]


@dataclass(frozen=True, kw_only=True)
class FinishedProcess:
    """How a process ended. exit: its exit status, or minus the signal that ended it. stderr: its last 64 KiB.

    ending: whether it exited by itself, was stopped by `should_stop`, or reached the time limit. truncated: whether
    output was dropped because it was longer than the limit.
    """

    exit: int
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False
    ending: Ending = "exited"

    @property
    def succeeded(self) -> bool:
        return self.exit == 0 and self.ending == "exited" and not self.truncated


def capture(
    argv: Sequence[str],
    *,
    stdout_limit: int,
    timeout: int,
    cwd: Path | None = None,
    env: Mapping[str, str] = ENVIRONMENT,
) -> FinishedProcess:
    """Runs a short tool and keeps up to `stdout_limit` bytes of its stdout. timeout: seconds."""
    kept = bytearray()
    lost = False

    def keep(data: bytes) -> None:
        nonlocal lost
        room = stdout_limit - len(kept)
        kept.extend(data[:room])
        lost = lost or len(data) > room

    exit_, ending, stderr = _with_both_pipes(argv, keep, timeout, cwd, env)
    return FinishedProcess(exit=exit_, stdout=bytes(kept), stderr=stderr, truncated=lost, ending=ending)


def lines(
    argv: Sequence[str],
    on_line: Callable[[bytes], None],
    *,
    timeout: int,
    cwd: Path | None = None,
    env: Mapping[str, str] = ENVIRONMENT,
) -> FinishedProcess:
    """Runs a tool and calls `on_line` with each line of stdout, without its line end. timeout: seconds."""
    splitter = LineSplitter(on_line)
    exit_, ending, stderr = _with_both_pipes(argv, splitter.feed, timeout, cwd, env)
    splitter.end()
    return FinishedProcess(exit=exit_, stderr=stderr, truncated=splitter.lost, ending=ending)


def run_encoder(
    argv: Sequence[str],
    *,
    cwd: Path,
    log: Path,
    on_progress: Callable[[EncodeProgress], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    env: Mapping[str, str] = ENVIRONMENT,
) -> FinishedProcess:
    """Runs ffmpeg until it ends; appends its stderr to `log` and passes its `-progress pipe:1` reports on.

    `argv` is used exactly as given. Once `should_stop` returns True the process group gets SIGTERM, and SIGKILL
    GRACE_SECONDS later. If anything raises, callbacks included, the group is killed and reaped first.
    """
    reader = ProgressReader(on_progress or (lambda _: None))
    splitter = LineSplitter(reader.line)
    with (
        log.open("ab") as log_file,
        _started(argv, cwd=cwd, env=env, stderr=log_file.fileno()) as process,
    ):
        exit_, ending = _watch(process, {_fd(process.stdout): splitter.feed}, should_stop, None)
    return FinishedProcess(exit=exit_, stderr=_tail(log), ending=ending)


def decode_signal(exit_: int) -> str | None:
    """Returns the name and meaning of the signal that ended a process, or None if it exited by itself."""
    if exit_ >= 0:
        return None
    try:
        name = signal.Signals(-exit_).name
    except ValueError:
        return f"signal {-exit_}"
    return f"{name} ({_SIGNAL_MEANINGS[name]})" if name in _SIGNAL_MEANINGS else name


_SIGNAL_MEANINGS: Final = {
    "SIGKILL": "killed by the system or a user, often because memory ran out",
    "SIGTERM": "asked to stop by the system or a user",
    "SIGINT": "interrupted",
    "SIGHUP": "its terminal was closed",
    "SIGABRT": "an internal check failed",
    "SIGSEGV": "crashed on a memory access",
    "SIGBUS": "crashed on a memory access: the file may have shrunk or its storage disconnected",
    "SIGILL": "used an instruction this CPU does not have",
    "SIGFPE": "crashed in arithmetic",
    "SIGXFSZ": "reached the file size limit",
    "SIGXCPU": "reached the CPU time limit",
}


# --- starting, watching and ending a process -------------------------------------------------------------


def _with_both_pipes(
    argv: Sequence[str], on_stdout: ByteSink, timeout: int, cwd: Path | None, env: Mapping[str, str]
) -> tuple[int, Ending, bytes]:
    end = bytearray()

    def keep_end(data: bytes) -> None:
        end.extend(data)
        del end[:-STDERR_KEPT]

    with _started(argv, cwd=cwd, env=env, stderr=subprocess.PIPE) as process:
        sinks = {_fd(process.stdout): on_stdout, _fd(process.stderr): keep_end}
        deadline = time.monotonic_ns() + timeout * 10**9
        exit_, ending = _watch(process, sinks, lambda: False, deadline)
    return exit_, ending, bytes(end)


@contextlib.contextmanager
def _started(
    argv: Sequence[str], *, cwd: Path | None, env: Mapping[str, str], stderr: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a child; however the block is left, its whole process group is killed and it is reaped."""
    _check_argv(argv)
    process: subprocess.Popen[bytes] | None = None
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)  # no Ctrl-C between the fork and the `finally` below
    try:
        try:
            process = subprocess.Popen(  # noqa: S603  (a list of arguments, checked above, no shell)
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                bufsize=0,
                cwd=cwd,
                env=dict(env),
                start_new_session=True,
                preexec_fn=_in_child(os.getpid()),  # a few system calls that take no lock
            )
        except OSError as error:
            if error.filename == argv[0]:
                raise ToolchainMissing(
                    message=f"the program {Path(argv[0]).name} cannot be started",
                    detail=f"{error.strerror}: {argv[0]}",
                ) from error
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)  # a pending Ctrl-C is raised here
        yield process
    finally:
        if process is not None:
            _signal_group(process, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def _check_argv(argv: Sequence[str]) -> None:
    if not argv or not Path(argv[0]).is_absolute():
        raise ValueError(f"a program must be given by its absolute path, not {argv[:1]!r}")
    for index, item in enumerate(argv):
        if "\0" in item:
            raise ValueError(f"argv[{index}] contains a NUL character, which no program can receive: {item!r}")


def _in_child(parent: int) -> Callable[[], None]:
    """Returns what the child runs before it becomes the program: die with the parent, receive signals again."""

    def prepare() -> None:
        if _LIBC is not None and _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
            os._exit(127)
        if os.getppid() != parent:  # the parent died before prctl: nothing would ever end this child
            os._exit(127)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    return prepare


def _watch(
    process: subprocess.Popen[bytes],
    sinks: Mapping[int, ByteSink],
    should_stop: Callable[[], bool],
    deadline: int | None,
) -> tuple[int, Ending]:
    """Feeds the sinks until the process has ended; stops it on request or at the deadline (monotonic ns)."""
    poller = select.poll()
    open_ = dict(sinks)
    for fd in open_:
        poller.register(fd, select.POLLIN)
    ending: Ending = "exited"
    kill_at: int | None = None
    while not _has_ended(process):
        _read_ready(poller, open_, _TICK_MS if open_ else 2)
        now = time.monotonic_ns()
        if ending == "exited" and deadline is not None and now >= deadline:
            ending, kill_at = "timeout", now
        if ending == "exited" and should_stop():
            _signal_group(process, signal.SIGTERM)
            ending, kill_at = "stopped", now + GRACE_SECONDS * 10**9
        if kill_at is not None and now >= kill_at:
            _signal_group(process, signal.SIGKILL)
    _signal_group(process, signal.SIGKILL)  # leftover children; as it is not reaped, the group id is still its own
    while _read_ready(poller, open_, 0):
        pass
    return process.wait(), ending


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Returns whether the process ended, without reaping it: until then no other process can get its group id."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _read_ready(poller: select.poll, open_: dict[int, ByteSink], wait_ms: int) -> bool:
    ready = poller.poll(wait_ms)
    for fd, _ in ready:
        data = os.read(fd, _CHUNK)
        if data:
            open_[fd](data)
        else:
            poller.unregister(fd)
            del open_[fd]
    return bool(ready)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.returncode is None:  # not reaped yet
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            os.killpg(process.pid, number)


def _fd(pipe: object) -> int:
    return pipe.fileno()  # type: ignore[attr-defined,no-any-return]  # every caller passes an open pipe


def _tail(log: Path) -> bytes:
    with log.open("rb") as log_file:
        log_file.seek(max(0, log_file.seek(0, os.SEEK_END) - STDERR_KEPT))
        return log_file.read(STDERR_KEPT)
