"""Real processes: how they end, what they receive, and that none is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from proxx.contracts.errors import ToolchainMissing
from proxx.ffmpeg import process
from proxx.ffmpeg.process import ENVIRONMENT, capture, decode_signal, lines, run_encoder
from proxx.ffmpeg.progress import EncodeProgress
from tests.support.makemedia import FFMPEG

PYTHON = sys.executable
REPO = Path(__file__).parents[2]


def python(code: str) -> list[str]:
    return [PYTHON, "-I", "-c", code]


@pytest.fixture(autouse=True)
def no_child_left() -> Iterator[None]:
    """No test leaves a child behind, not even a zombie; servers of the session already existed."""
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic_ns() + 20 * 10**9
    while not condition():
        assert time.monotonic_ns() < end, "the condition did not become true within 20 s"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # not yet reaped by its new parent
    except psutil.NoSuchProcess:
        return True


def test_only_one_module_starts_processes() -> None:
    starts = ("subprocess", "os.system", "os.popen", "os.spawn", "os.exec", "posix_spawn", "os.fork")
    for module in sorted((REPO / "proxx").rglob("*.py")):
        if module.name != "process.py":
            text = module.read_text()
            assert [word for word in starts if word in text] == [], module
    assert "shell=" not in (REPO / "proxx" / "ffmpeg" / "process.py").read_text()


def test_capture_keeps_exit_and_both_streams() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    done = capture(python(code), stdout_limit=100, timeout=60)
    assert (done.exit, done.stdout, done.stderr, done.truncated, done.ending) == (
        3,
        b"out\n",
        b"err\n",
        False,
        "exited",
    )
    assert not done.succeeded


def test_capture_keeps_no_more_than_the_limit() -> None:
    code = "import sys; sys.stdout.write('x' * 3_000_000); sys.stderr.write('y' * 3_000_000 + 'end')"
    done = capture(python(code), stdout_limit=1000, timeout=60)
    assert (done.exit, len(done.stdout), done.truncated) == (0, 1000, True)
    assert len(done.stderr) == process.STDERR_KEPT
    assert done.stderr.endswith(b"end")


def test_output_of_exactly_the_limit_is_not_truncated() -> None:
    done = capture(python("print('x' * 99)"), stdout_limit=100, timeout=60)
    assert (len(done.stdout), done.truncated, done.succeeded) == (100, False, True)


def test_capture_kills_the_process_at_the_time_limit() -> None:
    done = capture(python("import time; print('on', flush=True); time.sleep(600)"), stdout_limit=100, timeout=1)
    assert (done.exit, done.ending, done.stdout) == (-signal.SIGKILL, "timeout", b"on\n")


def test_lines_are_passed_on_one_by_one() -> None:
    got: list[bytes] = []
    code = "import sys\nfor i in range(200000): print(i)\nsys.stdout.write('no end')"
    done = lines(python(code), got.append, timeout=60)
    assert done.exit == 0
    assert got == [*(str(i).encode() for i in range(200000)), b"no end"]


def test_a_line_that_is_too_long_is_dropped_and_reported() -> None:
    got: list[bytes] = []
    done = lines(python("print('a'); print('x' * 3_000_000); print('b')"), got.append, timeout=60)
    assert (got, done.truncated) == ([b"a", b"b"], True)


def test_the_process_is_killed_if_the_line_callback_raises() -> None:
    def refuse(line: bytes) -> None:
        raise RuntimeError(line.decode())

    with pytest.raises(RuntimeError, match="first"):
        lines(python("import time; print('first', flush=True); time.sleep(600)"), refuse, timeout=60)


def test_the_exit_status_is_minus_the_signal(tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGABRT)"
    assert capture(python(code), stdout_limit=0, timeout=60).exit == -signal.SIGABRT
    assert run_encoder(python(code), cwd=tmp_path, log=tmp_path / "log").exit == -signal.SIGABRT


@pytest.mark.parametrize(
    ("exit_", "words"),
    [
        (0, None),
        (134, None),
        (-9, "SIGKILL (killed by the system or a user, often because memory ran out)"),
        (-6, "SIGABRT (an internal check failed)"),
        (-10, "SIGUSR1"),
        (-200, "signal 200"),
    ],
)
def test_signals_are_explained(exit_: int, words: str | None) -> None:
    assert decode_signal(exit_) == words


@pytest.mark.clause("I5")
def test_the_environment_is_fixed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "TZ": "Pacific/Chatham",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "tr_TR.UTF-8",
        "FFREPORT": f"file={tmp_path}/report.log:level=48",
        "AV_LOG_FORCE_COLOR": "1",
        "LD_PRELOAD": "",
        "HOME": "/nowhere",
    }.items():
        monkeypatch.setenv(name, value)
    code = "import os; print(sorted(os.environ.items()))"
    done = capture(python(code), stdout_limit=10000, timeout=60)
    # Python itself adds LC_CTYPE when it starts in the C locale
    seen = {name: value for name, value in eval(done.stdout) if name != "LC_CTYPE"}  # noqa: S307
    assert seen == dict(ENVIRONMENT)
    capture([str(FFMPEG), "-version"], stdout_limit=10000, timeout=60)
    run_encoder([str(FFMPEG), "-version"], cwd=tmp_path, log=tmp_path / "log")
    assert not (tmp_path / "report.log").exists()


def test_stdin_is_empty_and_the_child_has_its_own_session() -> None:
    code = "import os, sys; print(repr(sys.stdin.read()), os.getsid(0) == os.getpid() == os.getpgid(0))"
    assert capture(python(code), stdout_limit=100, timeout=60).stdout == b"'' True\n"


def test_signals_are_not_masked_in_the_child() -> None:
    code = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))"
    assert capture(python(code), stdout_limit=100, timeout=60).stdout == b"set()\n"
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_arguments_are_passed_unchanged_and_without_a_shell() -> None:
    names = ["$(touch /tmp/x)", "`id`; rm -rf /", "a\nb", "-x", "*", "caf\udce9", "日本"]
    code = "import os, sys; sys.stdout.buffer.write(b'|'.join(os.fsencode(a) for a in sys.argv[1:]))"
    done = capture([*python(code), *names], stdout_limit=1000, timeout=60)
    assert done.stdout == b"|".join(os.fsencode(name) for name in names)


@pytest.mark.parametrize("argv", [[PYTHON, "-c", "a\0b"], [], ["python3"], [PYTHON + "\0"]])
def test_bad_arguments_are_refused_before_a_process_starts(argv: list[str]) -> None:
    with pytest.raises(ValueError, match=r"NUL|absolute"):
        capture(argv, stdout_limit=0, timeout=60)


def test_a_program_that_cannot_be_started_is_a_missing_toolchain(tmp_path: Path) -> None:
    with pytest.raises(ToolchainMissing, match="the program ffmpeg cannot be started"):
        capture([str(tmp_path / "ffmpeg")], stdout_limit=0, timeout=60)
    (tmp_path / "ffmpeg").write_text("not a program")
    with pytest.raises(ToolchainMissing):
        run_encoder([str(tmp_path / "ffmpeg")], cwd=tmp_path, log=tmp_path / "log")


def test_a_missing_working_directory_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        capture(python(""), stdout_limit=0, timeout=60, cwd=tmp_path / "gone")


def test_huge_stderr_does_not_block(tmp_path: Path) -> None:
    code = "import sys\nfor i in range(200): sys.stderr.write('e' * 100_000)\nprint('progress=end')"
    done = run_encoder(python(code), cwd=tmp_path, log=tmp_path / "log")
    assert (done.exit, (tmp_path / "log").stat().st_size, len(done.stderr)) == (0, 20_000_000, process.STDERR_KEPT)


def test_the_log_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    run_encoder(python("import sys; sys.stderr.write('after')"), cwd=tmp_path, log=log)
    assert log.read_text() == "before\nafter"


FFMPEG_ENCODE = [
    *(str(FFMPEG), "-nostdin", "-v", "info", "-nostats", "-progress", "pipe:1", "-stats_period", "0.1"),
    *("-f", "lavfi", "-i"),
]


def test_ffmpeg_reports_progress(tmp_path: Path) -> None:
    reports: list[EncodeProgress] = []
    argv = [*FFMPEG_ENCODE, "testsrc=s=64x64:r=25:d=1", "-f", "null", "-"]
    done = run_encoder(argv, cwd=tmp_path, log=tmp_path / "log", on_progress=reports.append)
    assert done.succeeded
    assert b"Lavf" in done.stderr or b"Output #0" in done.stderr
    assert [report.done for report in reports][-1:] == [True]
    assert (reports[-1].frame, reports[-1].out_time_us) == (25, 1_000_000)


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_stopped_ffmpeg_finishes_its_file(tmp_path: Path, in_thread: bool) -> None:
    seen = threading.Event()
    argv = [*FFMPEG_ENCODE[:-3], "-re", "-f", "lavfi", "-i", "testsrc=s=64x64:r=25", "-c:v", "mpeg4", "out.mov"]
    results: list[process.FinishedProcess] = []

    def work() -> None:
        results.append(
            run_encoder(
                argv,
                cwd=tmp_path,
                log=tmp_path / "log",
                on_progress=lambda report: seen.set() if report.frame else None,
                should_stop=seen.is_set,
            )
        )

    if in_thread:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(60)
    else:
        work()
    (done,) = results
    assert (done.ending, done.exit, done.succeeded) == ("stopped", 255, False)
    assert (tmp_path / "out.mov").stat().st_size > 0


def test_a_process_that_ignores_the_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 1)
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('frame=1', flush=True);"
        "open('ready', 'w').close(); time.sleep(600)"
    )
    done = run_encoder(python(code), cwd=tmp_path, log=tmp_path / "log", should_stop=(tmp_path / "ready").exists)
    assert (done.ending, done.exit) == ("stopped", -signal.SIGKILL)


GRANDCHILD = "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); open('pid', 'w').write(str(p.pid));"


def test_a_grandchild_is_killed_when_the_child_ends(tmp_path: Path) -> None:
    """The grandchild keeps the pipe open; nothing may wait for it to close."""
    done = run_encoder(python(GRANDCHILD + "sys.stdout.write('frame=1')"), cwd=tmp_path, log=tmp_path / "log")
    assert done.exit == 0
    wait_for(lambda: gone(int((tmp_path / "pid").read_text())))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_group_is_killed_and_reaped_if_a_callback_raises(tmp_path: Path, error: type[BaseException]) -> None:
    def refuse(report: EncodeProgress) -> None:
        raise error(str(report.frame))

    code = GRANDCHILD + "print('frame=7'); print('progress=continue', flush=True); p.wait()"
    with pytest.raises(error, match="7"):
        run_encoder(python(code), cwd=tmp_path, log=tmp_path / "log", on_progress=refuse)
    wait_for(lambda: gone(int((tmp_path / "pid").read_text())))


def parent(tmp_path: Path, call: str) -> subprocess.Popen[bytes]:
    """Starts another Python that runs an endless ffmpeg with `run_encoder`."""
    argv = [*FFMPEG_ENCODE[:-3], "-re", "-f", "lavfi", "-i", "testsrc=s=64x64:r=25", "-f", "null", "-"]
    code = f"""
import pathlib, signal, threading
from proxx.ffmpeg.process import run_encoder
def record(report): (folder / "frame").write_text(str(report.frame))
folder = pathlib.Path({str(tmp_path)!r})
def work(): run_encoder({argv!r}, cwd=folder, log=folder / "log", on_progress=record)
{call}
"""
    return subprocess.Popen([PYTHON, "-c", code], cwd=REPO, stderr=subprocess.PIPE)


@pytest.mark.clause("I7")
@pytest.mark.parametrize("call", ["work()", "t = threading.Thread(target=work); t.start(); t.join()"])
@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death is a Linux signal")
def test_ffmpeg_dies_with_its_parent(tmp_path: Path, call: str) -> None:
    with parent(tmp_path, call) as other:
        wait_for((tmp_path / "frame").exists)
        (ffmpeg,) = psutil.Process(other.pid).children()
        assert ffmpeg.name().startswith("ffmpeg")
        other.kill()
        other.wait()
        wait_for(lambda: gone(ffmpeg.pid))


def test_ctrl_c_in_the_parent_ends_ffmpeg(tmp_path: Path) -> None:
    # A suite that a shell started in the background ignores SIGINT, and the parent would inherit that.
    with parent(tmp_path, "signal.signal(signal.SIGINT, signal.default_int_handler); work()") as other:
        wait_for((tmp_path / "frame").exists)
        (ffmpeg,) = psutil.Process(other.pid).children()
        other.send_signal(signal.SIGINT)
        try:
            _, stderr = other.communicate(timeout=60)
        finally:
            other.kill()
        assert b"KeyboardInterrupt" in stderr
        assert gone(ffmpeg.pid)


def test_many_threads_may_start_processes_at_once() -> None:
    codes: list[int] = []
    threads = [
        threading.Thread(
            target=lambda n=n: codes.append(capture(["/bin/sh", "-c", f"exit {n}"], stdout_limit=9, timeout=60).exit)
        )
        for n in range(30)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(codes) == list(range(30))
