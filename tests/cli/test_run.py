"""`proxx run` as people use it: lines, JSON, exit statuses, several at once, stopped in the middle."""

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

from proxx.job import JobContent, JobSpec, seal
from proxx.store import FileStore
from tests.cli.command import ROOT, Answer, call, environment, proxx, start
from tests.jobs import half_second, make_job, write_spec
from tests.makemedia import make, picture

Capture = pytest.CaptureFixture[str]


def long_job(output: Path) -> JobSpec:
    """One short clip, then one that takes long enough to be caught at it."""
    from proxx.create import CreateRequest, create_jobs
    from proxx.probe import decoders
    from proxx.profile import find_profile
    from proxx.toolchain import find_toolchain

    toolchain = find_toolchain("static")
    encoded = ("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-pix_fmt", "yuv420p")
    long = make("long.mov", *picture("1280x720", seconds="4"), *encoded)
    created = create_jobs(
        CreateRequest(
            sources=(half_second("short.mov"), long),
            profile=find_profile("prores_proxy"),
            toolchain=toolchain.identity,
            output=str(output),
            name="long",
            template="{source_name}",
            clips_per_job=None,
            leave_out_refused=False,
            accept_damage=(),
            date="2026-01-02",
        ),
        ffprobe=toolchain.ffprobe,
        decoders=decoders(toolchain.ffmpeg),
    )
    return created.jobs[0]


def moved(job: JobSpec, output: Path) -> JobSpec:
    """The same work with outputs elsewhere: another job that must give the same bytes."""
    clips = []
    for clip in job.clips:
        (made,) = clip.outputs
        there = made.model_copy(update={"uri": str(output / Path(made.uri).name)})
        clips.append(clip.model_copy(update={"outputs": (there,)}))
    content = job.model_copy(update={"clips": tuple(clips)})
    return seal(JobContent.model_validate(content.model_dump(exclude={"job_id", "seals"})))


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


# --- what is printed -------------------------------------------------------------------------------------


def test_plain_lines_and_the_summary(tmp_path: Path, capsys: Capture) -> None:
    spec = write_spec(make_job(tmp_path / "out", "prores_proxy", 2), tmp_path / "job.json")
    answer = call(capsys, "--store", tmp_path / "store", "run", spec)
    assert (answer.status, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0].startswith("test: job ")
    assert lines[1] == "[1/2] clip0.mov: started, 12 frames"
    assert lines[2].startswith("[1/2] clip0.mov: COMPLETED, 12 frames, ")
    assert "COMPLETED: 2 of 2 clips, 24 frames, " in answer.out


def test_json_is_the_result_alone(tmp_path: Path, capsys: Capture) -> None:
    job = make_job(tmp_path / "out", "prores_proxy")
    spec = write_spec(job, tmp_path / "job.json")
    answer = call(capsys, "run", spec, "--json", "--store", tmp_path / "store")
    assert (answer.status, answer.err) == (0, "")
    data = answer.json
    assert (data["job_id"], data["attempt"], data["status"]) == (job.job_id, 1, "COMPLETED")
    (clip,) = data["clips"]
    made = Path(clip["output"]).read_bytes()
    assert clip["output_sha256"] == f"sha256:{hashlib.sha256(made).hexdigest()}"
    assert {"index", "status", "source", "frames", "failure"} <= set(clip)


def test_an_attempt_that_has_ended_is_4_and_names_the_next(tmp_path: Path, capsys: Capture) -> None:
    spec = write_spec(make_job(tmp_path / "out", "prores_proxy"), tmp_path / "job.json")
    place = ("--store", tmp_path / "store")
    assert call(capsys, *place, "run", spec).status == 0
    again = call(capsys, *place, "run", spec)
    assert again.status == 4
    assert "COMPLETED" in again.err
    assert f"proxx run {spec} --attempt 2" in again.err
    data = call(capsys, *place, "run", "--json", spec).json["error"]
    assert (data["code"], data["result"]["status"]) == ("ATTEMPT_CLOSED", "COMPLETED")
    assert call(capsys, *place, "run", spec, "--attempt", "7", "--json").code == "ATTEMPT_OUT_OF_ORDER"


def test_a_failed_clip_is_1_with_code_sentence_and_remedy(tmp_path: Path, capsys: Capture) -> None:
    job = make_job(tmp_path / "out", "prores_proxy", 2)
    spec = write_spec(job, tmp_path / "job.json")
    (tmp_path / "out").mkdir()
    in_the_way = Path(job.clips[0].outputs[0].uri)
    in_the_way.write_bytes(b"somebody's")
    answer = call(capsys, "--store", tmp_path / "store", "run", spec)
    assert answer.status == 1
    assert "FAILED: 1 of 2 clips" in answer.out
    assert "[1/2] clip0.mov: OUTPUT_EXISTS: " in answer.out
    assert "move it, then run the next attempt" in answer.out
    assert f"proxx run {spec} --attempt 2" in answer.out
    assert in_the_way.read_bytes() == b"somebody's"


def test_outputs_of_another_job_are_4(tmp_path: Path, capsys: Capture) -> None:
    one = write_spec(make_job(tmp_path / "out", "prores_proxy", name="one"), tmp_path / "1.json")
    other = write_spec(make_job(tmp_path / "out", "prores_proxy", name="other"), tmp_path / "2.json")
    assert call(capsys, "--store", tmp_path / "store", "run", one).status == 0
    answer = call(capsys, "--store", tmp_path / "store", "run", other, "--json")
    assert (answer.status, answer.code) == (4, "OUTPUT_CLAIMED")
    assert answer.json["error"]["output"].endswith("clip0.mov")


def test_an_edited_spec_is_3(tmp_path: Path, capsys: Capture) -> None:
    spec = write_spec(make_job(tmp_path / "out", "prores_proxy"), tmp_path / "job.json")
    spec.write_bytes(spec.read_bytes().replace(b'"name": "test"', b'"name": "tost"'))
    answer = call(capsys, "run", spec, "--json", "--store", tmp_path / "store")
    assert (answer.status, answer.code) == (3, "SPEC_ALTERED")
    assert [problem["path"] for problem in answer.json["error"]["problems"]] == ["name"]


def test_another_toolchain_is_6(tmp_path: Path, capsys: Capture) -> None:
    job = make_job(tmp_path / "out", "prores_proxy")
    other = job.toolchain.model_copy(update={"ffmpeg_sha256": "sha256:" + "0" * 64})
    plain = job.model_copy(update={"toolchain": other}).model_dump(exclude={"job_id", "seals"})
    spec = write_spec(seal(JobContent.model_validate(plain)), tmp_path / "job.json")
    answer = call(capsys, "run", spec, "--json", "--store", tmp_path / "store")
    assert (answer.status, answer.code) == (6, "TOOLCHAIN_MISMATCH")
    assert not (tmp_path / "out").exists()


def test_a_toolchain_that_changes_on_the_way_is_6(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proxx.errors import ToolchainMismatch

    def replaced(*_: object) -> None:
        raise ToolchainMismatch(message="The encoder used an instruction this CPU does not have.")

    monkeypatch.setattr("proxx.execute.make_clip", replaced)
    spec = write_spec(make_job(tmp_path / "out", "prores_proxy", 2), tmp_path / "job.json")
    answer = call(capsys, "run", spec, "--store", tmp_path / "store")
    assert answer.status == 6
    assert "The job stopped: TOOLCHAIN_MISMATCH" in answer.out


def test_a_bug_of_the_engine_is_70_and_recorded(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error", "/somewhere")

    monkeypatch.setattr("proxx.execute.make_clip", broken)
    spec = write_spec(make_job(tmp_path / "out", "prores_proxy"), tmp_path / "job.json")
    answer = call(capsys, "run", spec, "--store", tmp_path / "store")
    assert answer.status == 70
    assert "Traceback" in answer.err
    assert "ENGINE_FAULT" in call(capsys, "status", spec, "--store", tmp_path / "store").out


@pytest.mark.parametrize("name", ["\x1b[31mred.mov", "-dash.mov", "a\nb.mov", "[bold]x.mov", "\u202etxt.mov"])
def test_hostile_names_are_made_and_printed_safely(name: str, tmp_path: Path, capsys: Capture) -> None:
    card = tmp_path / "card"
    card.mkdir()
    (card / name).write_bytes(half_second("plain.mov").read_bytes())
    spec, place = tmp_path / "job.json", ("--store", tmp_path / "store")
    out = ("--output", tmp_path / "out", "--spec", spec)
    said = [call(capsys, "create", card, "--profile", "h264_quarter", *out)]
    said += [call(capsys, *place, verb, spec) for verb in ("run", "verify", "history", "status")]
    assert [answer.status for answer in said] == [0] * 5
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    for answer in said:
        assert all(line.isprintable() for line in (answer.out + answer.err).split("\n"))
    assert call(capsys, *place, "verify", spec, "--json").out.isascii()


def test_a_reader_that_goes_away_does_not_stop_the_job(tmp_path: Path) -> None:
    spec = write_spec(make_job(tmp_path / "out", "prores_proxy", 2), tmp_path / "job.json")
    process = start("--store", tmp_path / "store", "run", spec)
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0
    assert len(digests(tmp_path / "out")) == 2


# --- several at once -------------------------------------------------------------------------------------


@pytest.mark.clause("P3", "T2", "P5", lead=True)
def test_eight_on_one_job_one_runs(tmp_path: Path) -> None:
    """Eight `proxx run` of one job at once: one makes it, seven are told by whom it is held or that it ended."""
    spec = write_spec(make_job(tmp_path / "out", "prores_proxy", 2), tmp_path / "job.json")
    racers = [start("run", spec, "--json", "--store", tmp_path / "store") for _ in range(8)]
    answers = []
    for racer in racers:
        out, err = racer.communicate(timeout=300)
        answers.append(Answer(racer.returncode, out, err))
    assert sorted(answer.status for answer in answers) == [0] + [4] * 7
    codes = {answer.code for answer in answers if answer.status == 4}
    assert codes <= {"LOCKED", "ATTEMPT_CLOSED"}
    assert len(digests(tmp_path / "out")) == 2


# --- stopped ---------------------------------------------------------------------------------------------


def freeze_encoder(process: subprocess.Popen[str], source: str) -> psutil.Process:
    """The ffmpeg below `process` that encodes `source`, caught and stopped in the middle of it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                if "ffmpeg" in child.name() and any(source in word for word in child.cmdline()):
                    child.suspend()
                    return child
            except psutil.Error:
                continue
    raise AssertionError("no encoder was seen")


def left_running(folder: Path) -> list[str]:
    """Command lines of processes that name something in `folder`."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(folder) in line and process.pid != os.getpid():
            found.append(line)
    return found


@pytest.mark.clause("V2", "F4")
@pytest.mark.parametrize("how", [(signal.SIGTERM,), (signal.SIGINT, signal.SIGINT), (signal.SIGHUP,)])
def test_stopped_in_the_middle(how: tuple[signal.Signals, ...], tmp_path: Path, capsys: Capture) -> None:
    job = long_job(tmp_path / "out")
    spec, place, work = write_spec(job, tmp_path / "job.json"), ("--store", tmp_path / "store"), tmp_path / "work"
    work.mkdir()
    process = start(*place, "run", spec, "--work", work)
    encoder = freeze_encoder(process, "long.mov")
    for number in how:
        process.send_signal(number)
    time.sleep(0.3)  # to be heard before the encoder could end by itself
    encoder.resume()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "The job stopped: INTERRUPTED" in out
    assert "stopping" in err
    assert "Traceback" not in err
    assert left_running(work) == []
    assert list(work.iterdir()) == []
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["short.mov"]
    state = call(capsys, *place, "status", spec, "--json").json
    assert (state["state"], state["attempts"][0]["code"]) == ("FAILED", "INTERRUPTED")

    second = call(capsys, *place, "run", spec, "--attempt", "2", "--json")
    assert second.status == 0
    elsewhere = write_spec(moved(job, tmp_path / "elsewhere"), tmp_path / "elsewhere.json")
    assert call(capsys, "--store", tmp_path / "another", "run", elsewhere).status == 0
    assert digests(tmp_path / "out") == digests(tmp_path / "elsewhere")


def test_nohup_is_respected(tmp_path: Path) -> None:
    """A signal that was ignored when the command was started stays so."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from proxx.cli.interrupts import stop_requests\n"
        "with stop_requests() as asked:\n"
        "    signal.raise_signal(signal.SIGHUP); assert not asked()\n"
        "    signal.raise_signal(signal.SIGTERM); assert asked()\n"
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.clause("V2")
@pytest.mark.clause("N2", lead=True)
def test_a_killed_worker_is_held_until_an_operator_decides(tmp_path: Path, capsys: Capture) -> None:
    """A killed worker's job stays HELD, refused to all who ask, until a person unlocks it."""
    job = long_job(tmp_path / "out")
    spec, place, work = write_spec(job, tmp_path / "job.json"), ("--store", tmp_path / "store"), tmp_path / "work"
    work.mkdir()
    process = start(*place, "run", spec, "--work", work)
    freeze_encoder(process, "long.mov")
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while left_running(work) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left_running(work) == []
    assert f"process {process.pid} since" in call(capsys, *place, "status", spec).out
    assert call(capsys, *place, "run", spec, "--json").code == "LOCKED"
    assert call(capsys, *place, "run", spec, "--attempt", "2", "--json").code == "ATTEMPT_OUT_OF_ORDER"
    assert call(capsys, *place, "unlock", spec, "--reason", "killed", "--worker-is-dead").status == 0
    assert call(capsys, *place, "run", spec, "--attempt", "2").status == 0
    assert sorted(digests(tmp_path / "out")) == ["long.mov", "short.mov"]


def test_bars_on_a_terminal(tmp_path: Path) -> None:
    """The job's total and the clip's bar on the terminal, the answer on standard output."""
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
        except OSError:  # how Linux says that nobody holds the other end
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
