"""`proxx run`: lines, JSON, exit statuses, several runs at once, runs that are stopped."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from proxx.cli.run import print_summary
from proxx.contracts.event import this_worker
from proxx.contracts.job import JobContent, JobSpec, seal
from proxx.contracts.result import ClipFailed, Failure
from proxx.store.file import FileStore
from proxx.store.lock import acquire
from tests.cli.command import ROOT, Answer, call, environment, proxx, start
from tests.objects.ground import Ground
from tests.support.jobs import create, half_second, make_job, write_spec
from tests.support.makemedia import make, picture
from tests.support.results import AnyClip, completed, failed, failure, not_run, result

Capture = pytest.CaptureFixture[str]
STRANGE_KEYS = ("\x1b[31mred.mov", "a\nb.mov", "\u202etxt.mov")


def long_job(ground: Ground) -> JobSpec:
    """A job of a short clip, then one that takes long enough to be interrupted."""
    encoded = ("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-pix_fmt", "yuv420p")
    long = make("long.mov", *picture("1280x720", seconds="4"), *encoded)
    names = []
    for source in (half_second("short.mov"), long):
        names.append(f"media:/{source.name}")
        ground.put(names[-1], source.read_bytes())
    return create(tuple(names), "proxies:/", "prores_proxy", name="long", places=ground.places())


def with_outputs_in(job: JobSpec, folder: str) -> JobSpec:
    """Returns the same work with its outputs in a folder: another job, which must give the same bytes."""
    clips = []
    for clip in job.clips:
        (made,) = clip.outputs
        there = made.model_copy(update={"uri": made.uri.replace("proxies:/", f"proxies:/{folder}/")})
        clips.append(clip.model_copy(update={"outputs": (there,)}))
    content = job.model_copy(update={"clips": tuple(clips)})
    return seal(JobContent.model_validate(content.model_dump(exclude={"job_id", "seals"})))


def failed_with(index: int, code: str) -> ClipFailed:
    """A failed clip without checks or a log."""
    return failed(index).model_copy(update={"failure": failure(code), "checks": (), "log": None})


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


# --- what is printed -------------------------------------------------------------------------------------


@pytest.mark.quick
def test_plain_lines_and_a_summary_are_printed(ground: Ground, tmp_path: Path, capsys: Capture) -> None:
    spec = write_spec(ground.job("prores_proxy", 2), tmp_path / "job.json")
    answer = call(capsys, "run", spec)
    assert (answer.status, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0].startswith("test: job ")
    assert lines[1] == "[1/2] clip0.mov: started, 12 frames"
    assert lines[2].startswith("[1/2] clip0.mov: COMPLETED, 12 frames, ")
    assert "COMPLETED: 2 of 2 clips, 24 frames, " in answer.out


def test_json_prints_only_the_result(ground: Ground, tmp_path: Path, capsys: Capture) -> None:
    job = ground.job("prores_proxy")
    spec = write_spec(job, tmp_path / "job.json")
    answer = call(capsys, "run", spec, "--json", "--store", ground.target("store"))
    assert (answer.status, answer.err) == (0, "")
    data = answer.json
    assert (data["job_id"], data["attempt"], data["status"]) == (job.job_id, 1, "COMPLETED")
    (clip,) = data["clips"]
    made = ground.get(clip["output"])
    assert made
    assert clip["output_sha256"] == f"sha256:{hashlib.sha256(made).hexdigest()}"
    assert {"index", "status", "source", "frames", "failure"} <= set(clip)


def test_an_ended_attempt_is_refused_and_the_next_one_named(ground: Ground, tmp_path: Path, capsys: Capture) -> None:
    spec = write_spec(ground.job("prores_proxy"), tmp_path / "job.json")
    assert call(capsys, "run", spec).status == 0
    again = call(capsys, "run", spec)
    assert again.status == 4
    head, _, next_step = again.err.splitlines()
    assert head == "proxx: ATTEMPT_CLOSED: attempt 1 has ended"
    assert next_step == f"  It ended as COMPLETED. To run the job again: proxx run {spec} --attempt 2"
    data = call(capsys, "run", "--json", spec).json["error"]
    assert (data["code"], data["result"]["status"]) == ("ATTEMPT_CLOSED", "COMPLETED")
    assert call(capsys, "run", spec, "--attempt", "7", "--json").code == "ATTEMPT_OUT_OF_ORDER"


def test_a_retired_job_is_never_offered_another_attempt(tmp_path: Path, capsys: Capture) -> None:
    spec = write_spec(make_job(tmp_path / "out", "prores_proxy"), tmp_path / "job.json")
    store = ("--store", tmp_path / "store")
    assert call(capsys, *store, "run", spec).status == 0
    assert call(capsys, *store, "retire", spec, "--reason", "wrong card").status == 0
    for attempt in ("1", "2", "3", "9"):
        answer = call(capsys, *store, "run", spec, "--attempt", attempt)
        assert answer.status == 4
        assert "The job is retired: it never runs again." in answer.err
        assert "--attempt" not in answer.err


def test_an_open_attempt_is_named_instead_of_the_next_one(tmp_path: Path, capsys: Capture) -> None:
    job = make_job(tmp_path / "out", "prores_proxy")
    spec, store = write_spec(job, tmp_path / "job.json"), FileStore(tmp_path / "store")
    place = ("--store", tmp_path / "store")
    assert call(capsys, *place, "run", spec).status == 0
    acquire(store, job.job_id, 2, this_worker(), "run-2")
    assert "Attempt 2 is open: see `proxx status`." in call(capsys, *place, "run", spec).err
    later = call(capsys, *place, "run", spec, "--attempt", "3").err
    assert "ATTEMPT_OUT_OF_ORDER" in later
    assert "`proxx unlock`" in later


@pytest.mark.parametrize(
    ("clips", "stopped", "shown"),
    [
        ((completed(0), failed_with(1, "DECODE_FAILED")), None, None),
        ((failed_with(0, "SOURCE_CHANGED"), failed_with(1, "SOURCE_TRUNCATED")), None, None),
        ((failed_with(0, "SOURCE_CHANGED"), failed_with(1, "OUTPUT_EXISTS")), None, "Next attempt"),
        ((failed_with(0, "DECODE_FAILED"), not_run(1)), failure("INTERRUPTED"), "Run the next attempt when ready"),
        ((failed_with(0, "DECODE_FAILED"), not_run(1)), failure("DISK_FULL"), "Next attempt"),
    ],
)
def test_the_next_attempt_is_printed_once_and_only_if_it_can_help(
    clips: tuple[AnyClip, ...], stopped: Failure | None, shown: str | None, capsys: Capture
) -> None:
    print_summary(result(*clips, stopped=stopped), Path("a.json"))
    lines = [line for line in capsys.readouterr().out.splitlines() if "attempt" in line.split(". Job ")[0].lower()]
    assert lines == ([f"  {shown}: proxx run a.json --attempt 2"] if shown else [])


def test_a_failed_clip_is_reported_with_code_message_and_remedy(
    ground: Ground, tmp_path: Path, capsys: Capture
) -> None:
    job = ground.job("prores_proxy", 2)
    spec = write_spec(job, tmp_path / "job.json")
    in_the_way = job.clips[0].outputs[0].uri
    ground.put(in_the_way, b"somebody's")
    answer = call(capsys, "run", spec)
    assert answer.status == 1
    assert "FAILED: 1 of 2 clips" in answer.out
    (line,) = (line for line in answer.out.splitlines() if line.startswith("  [1/2] clip0.mov: OUTPUT_EXISTS: "))
    assert line.endswith(f" ({in_the_way})")
    (event,) = (e for e in call(capsys, "history", spec, "--json").json["entries"] if e["type"] == "clip.failed")
    assert event["notes"]["detail"] == in_the_way
    assert in_the_way not in event["data"]["failure"]["message"]
    assert "out of the way; then run the next attempt" in answer.out
    assert f"proxx run {spec} --attempt 2" in answer.out
    assert ground.get(in_the_way) == b"somebody's"


def test_outputs_of_another_job_are_exit_status_4(ground: Ground, tmp_path: Path, capsys: Capture) -> None:
    one = write_spec(ground.job("prores_proxy", name="one"), tmp_path / "1.json")
    other = write_spec(ground.job("prores_proxy", name="other"), tmp_path / "2.json")
    assert call(capsys, "run", one).status == 0
    answer = call(capsys, "run", other, "--json")
    assert (answer.status, answer.code) == (4, "OUTPUT_CLAIMED")
    assert answer.json["error"]["output"].endswith("clip0.mov")


def test_an_edited_spec_is_exit_status_3(tmp_path: Path, capsys: Capture) -> None:
    spec = write_spec(make_job(tmp_path / "out", "prores_proxy"), tmp_path / "job.json")
    spec.write_bytes(spec.read_bytes().replace(b'"name": "test"', b'"name": "tost"'))
    answer = call(capsys, "run", spec, "--json", "--store", tmp_path / "store")
    assert (answer.status, answer.code) == (3, "SPEC_ALTERED")
    assert [problem["path"] for problem in answer.json["error"]["problems"]] == ["name"]


@pytest.mark.quick
def test_another_toolchain_is_exit_status_6(ground: Ground, tmp_path: Path, capsys: Capture) -> None:
    job = ground.job("prores_proxy")
    other = job.toolchain.model_copy(update={"ffmpeg_sha256": "sha256:" + "0" * 64})
    plain = job.model_copy(update={"toolchain": other}).model_dump(exclude={"job_id", "seals"})
    spec = write_spec(seal(JobContent.model_validate(plain)), tmp_path / "job.json")
    answer = call(capsys, "run", spec, "--json")
    assert (answer.status, answer.code) == (6, "TOOLCHAIN_MISMATCH")
    assert ground.untouched()


def test_a_toolchain_that_changes_during_the_job_is_exit_status_6(
    ground: Ground, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proxx.contracts.errors import ToolchainMismatch

    def replaced(*_: object) -> None:
        raise ToolchainMismatch(message="The encoder used an instruction this CPU does not have.")

    monkeypatch.setattr("proxx.engine.execute.make_clip", replaced)
    spec = write_spec(ground.job("prores_proxy", 2), tmp_path / "job.json")
    answer = call(capsys, "run", spec)
    assert answer.status == 6
    assert "The job stopped: TOOLCHAIN_MISMATCH" in answer.out


def test_a_bug_of_the_engine_is_exit_status_70_and_recorded(
    ground: Ground, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error", "/somewhere")

    monkeypatch.setattr("proxx.engine.execute.make_clip", broken)
    spec = write_spec(ground.job("prores_proxy"), tmp_path / "job.json")
    answer = call(capsys, "run", spec)
    assert answer.status == 70
    assert "Traceback" in answer.err
    assert "ENGINE_FAULT" in call(capsys, "status", spec).out


@pytest.mark.parametrize(
    ("ground", "names"),
    [
        *(("file", (name,)) for name in ("-dash.mov", "[bold]x.mov")),
        *(("file", (name,)) for name in STRANGE_KEYS),
        ("rgw", STRANGE_KEYS),
    ],
    indirect=["ground"],
)
def test_hostile_file_names_are_encoded_and_printed_safely(
    ground: Ground, names: tuple[str, ...], tmp_path: Path, capsys: Capture
) -> None:
    """In a bucket all names are in one job, because a command takes longer there than a clip.

    moto refuses line breaks in keys.
    """
    for name in names:
        ground.put(f"media:/card/{name}", half_second("plain.mov").read_bytes())
    spec = tmp_path / "job.json"
    answers = [
        call(capsys, "create", "media:/card", "--profile", "h264_quarter", "--output", "proxies:/", "--spec", spec)
    ]
    answers += [call(capsys, verb, spec) for verb in ("run", "verify", "history", "status")]
    assert [answer.status for answer in answers] == [0] * 5
    assert ground.names(hidden=True) == sorted(names)
    for answer in answers:
        assert all(line.isprintable() for line in (answer.out + answer.err).split("\n"))
    assert call(capsys, "verify", spec, "--json").out.isascii()


def test_a_closed_pipe_does_not_stop_the_job(tmp_path: Path) -> None:
    spec = write_spec(make_job(tmp_path / "out", "prores_proxy", 2), tmp_path / "job.json")
    process = start("--store", tmp_path / "store", "run", spec)
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0
    assert len(digests(tmp_path / "out")) == 2


# --- several at once -------------------------------------------------------------------------------------


@pytest.mark.quick
@pytest.mark.clause("P3", "T2", "P5", lead=True)
@pytest.mark.parametrize(("ground", "many"), [("file", 8), ("rgw", 3)], indirect=["ground"])
def test_of_eight_runs_of_one_job_one_makes_it(ground: Ground, many: int, tmp_path: Path) -> None:
    """Eight `proxx run` of one job at once: one makes it; seven are refused, it is held by another or has ended."""
    spec = write_spec(ground.job("prores_proxy", 2), tmp_path / "job.json")
    racers = [start("run", spec, "--json", env=environment(**ground.environment)) for _ in range(many)]
    answers = []
    for racer in racers:
        out, err = racer.communicate(timeout=300)
        answers.append(Answer(racer.returncode, out, err))
    assert sorted(answer.status for answer in answers) == [0] + [4] * (many - 1)
    codes = {answer.code for answer in answers if answer.status == 4}
    assert codes <= {"LOCKED", "ATTEMPT_CLOSED"}
    assert ground.names(hidden=True) == ["clip0.mov", "clip1.mov"]
    assert ground.uploads() == []


# --- stopped ---------------------------------------------------------------------------------------------


def freeze_encoder(process: subprocess.Popen[str], clip: int) -> psutil.Process:
    """Suspends and returns the ffmpeg process that encodes the clip for `process`, in mid-encode."""
    made = f"/{clip:05d}."  # the file it writes; its source is named in argv only if that is on disk
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                if "ffmpeg" in child.name() and any(made in word for word in child.cmdline()):
                    child.suspend()
                    return child
            except psutil.Error:
                continue
    raise AssertionError("no encoder process appeared")


def processes_naming(folder: Path) -> list[str]:
    """Returns the command lines of other processes that contain the path of `folder`."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(folder) in line and process.pid != os.getpid():
            found.append(line)
    return found


@pytest.mark.clause("V2", "F4")
@pytest.mark.parametrize(
    ("ground", "how"),
    [
        ("file", (signal.SIGTERM,)),
        ("file", (signal.SIGINT, signal.SIGINT)),
        ("file", (signal.SIGHUP,)),
        ("rgw", (signal.SIGTERM,)),  # one signal is enough here: the storage does not depend on which
    ],
    indirect=["ground"],
)
def test_a_signal_in_mid_encode_stops_the_job_cleanly(
    ground: Ground, how: tuple[signal.Signals, ...], tmp_path: Path, capsys: Capture
) -> None:
    job = long_job(ground)
    spec, work = write_spec(job, tmp_path / "job.json"), tmp_path / "work"
    work.mkdir()
    process = start("run", spec, "--work", work, env=environment(**ground.environment))
    encoder = freeze_encoder(process, 1)
    for number in how:
        process.send_signal(number)
    assert process.stderr is not None
    message = process.stderr.readline() + process.stderr.readline()
    assert "stopping" in message  # received before the encoder could end by itself
    encoder.resume()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "The job stopped: INTERRUPTED" in out
    assert "Traceback" not in err
    assert processes_naming(work) == []
    assert list(work.iterdir()) == []
    assert ground.names(hidden=True) == ["short.mov"]
    assert ground.uploads() == []
    state = call(capsys, "status", spec, "--json").json
    assert (state["state"], state["attempts"][0]["code"]) == ("FAILED", "INTERRUPTED")

    second = call(capsys, "run", spec, "--attempt", "2", "--json")
    assert second.status == 0
    made = ground.outputs()
    assert list(made) == ["long.mov", "short.mov"]
    elsewhere = write_spec(with_outputs_in(job, "elsewhere"), tmp_path / "elsewhere.json")
    assert call(capsys, "--store", ground.target("another"), "run", elsewhere).status == 0
    assert ground.outputs() == {**made, **{f"elsewhere/{name}": digest for name, digest in made.items()}}


def test_nohup_is_respected(tmp_path: Path) -> None:
    """A signal that is ignored when the command starts stays ignored."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from proxx.cli.stop_requests import stop_requests\n"
        "with stop_requests() as stop:\n"
        "    signal.raise_signal(signal.SIGHUP); assert not stop()\n"
        "    signal.raise_signal(signal.SIGTERM); assert stop()\n"
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.quick
@pytest.mark.clause("V2")
@pytest.mark.clause("N2", lead=True)
@pytest.mark.parametrize("ground", ["file"], indirect=True)  # tests/faults/test_kill.py shows the same for a bucket
def test_a_killed_worker_is_held_until_an_operator_decides(ground: Ground, tmp_path: Path, capsys: Capture) -> None:
    """A killed worker's job stays HELD and every run of it is refused until a person unlocks it."""
    spec, work = write_spec(long_job(ground), tmp_path / "job.json"), tmp_path / "work"
    work.mkdir()
    process = start("run", spec, "--work", work, env=environment(**ground.environment))
    freeze_encoder(process, 1)
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while processes_naming(work) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_naming(work) == []
    assert f"process {process.pid} since" in call(capsys, "status", spec).out
    assert call(capsys, "run", spec, "--json").code == "LOCKED"
    assert call(capsys, "run", spec, "--attempt", "2", "--json").code == "ATTEMPT_OUT_OF_ORDER"
    assert call(capsys, "unlock", spec, "--reason", "killed", "--worker-is-dead").status == 0
    assert call(capsys, "run", spec, "--attempt", "2").status == 0
    assert ground.names(hidden=True) == ["long.mov", "short.mov"]


def test_bars_are_drawn_on_a_terminal(tmp_path: Path) -> None:
    """The bars go to the terminal, the summary to standard output."""
    import pty

    spec = write_spec(make_job(tmp_path / "out", "prores_proxy", 2), tmp_path / "job.json")
    master, terminal = pty.openpty()
    process = start(
        "--store", tmp_path / "store", "run", spec, stderr=terminal, env=environment(TERM="xterm", COLUMNS="100")
    )
    os.close(terminal)
    drawn = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:  # Linux raises this when the other end is closed
            break
        if not data:
            break
        drawn += data
    os.close(master)
    out, _ = process.communicate(timeout=60)
    shown = drawn.decode()
    assert process.returncode == 0
    assert out.startswith("\nCOMPLETED: 2 of 2 clips")
    for words in ("all 2 clips", "[1/2] clip0.mov", "12/12", "frames/s", "[2/2] clip1.mov: COMPLETED"):
        assert words in shown
    assert FileStore(tmp_path / "store").children("jobs/")


def test_a_dumb_terminal_gets_lines() -> None:
    assert proxx("profiles", env=environment(TERM="dumb")).status == 0
