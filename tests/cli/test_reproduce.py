"""`proxx reproduce --all`, `--with-profile`, `--with-toolchain`: output, exit statuses, files left behind."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxx.contracts.event import Worker
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.store.file import FileStore
from proxx.store.opening import initialize_store
from tests.cli.command import Answer, call, start
from tests.objects.endpoint import Bucket
from tests.support.finished import THERE, finish, forged, run
from tests.support.jobs import create, half_second
from tests.support.makemedia import make, picture, sound

Capture = pytest.CaptureFixture[str]
HERE = Worker(host=socket.gethostname(), pid=1, user="editor")


@dataclass(frozen=True)
class Fleet:
    """Three finished jobs in `root/store`: of two clips made here, one made by another host, one forged."""

    root: Path
    first: JobSpec
    second: JobSpec
    third: JobSpec

    @property
    def place(self) -> tuple[object, ...]:
        return "--store", self.root / "store"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Shared by all tests of this module, which only read it."""
    root = tmp_path_factory.mktemp("fleet")
    real, kept = FileStore(folder(root / "real")), FileStore(folder(root / "store"))
    initialize_store(real)
    made = Fleet(
        root,
        finish(real, root / "first", 2, worker=HERE),
        finish(real, root / "second", 1, worker=THERE),
        finish(real, root / "third", 1, worker=HERE, profile="h264_review_mp4"),
    )
    copy = forged(real, made.third, 0)
    for key in copy.list(""):
        kept.create(key, copy.read(key) or b"")
    return made


@pytest.fixture
def unchanged(fleet: Fleet) -> Iterator[None]:
    """Checks that the test changes no file of the fleet."""
    before = files(fleet.root)
    yield
    assert files(fleet.root) == before


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def files(tmp_path: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def verdicts(answer: Answer) -> dict[tuple[str, int], str]:
    return {(row["job_id"], row["index"]): row.get("verdict") or row["outlook"] for row in answer.json["clips"]}


def rules(path: Path, old: str, new: str) -> Path:
    """Writes the next version of the profile `prores_proxy`, with one rule changed, to a file."""
    text = (Path(__file__).parents[2] / "proxx/catalogue/prores_proxy.toml").read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new).replace("version = 1\n", "version = 2\n"), "utf-8")
    return path


# --- --all: the bytes of all finished jobs ---------------------------------------------------------------


@pytest.mark.clause("V1")
def test_all_finds_the_clip_that_differs_and_changes_nothing(
    fleet: Fleet, unchanged: None, tmp_path: Path, capsys: Capture
) -> None:
    first, second, third, place = fleet.first, fleet.second, fleet.third, fleet.place
    work = folder(tmp_path / "work")
    answer = call(capsys, *place, "reproduce", "--all", "--sample", "100%", "--work", work)
    assert answer.status == 5
    assert "REPRODUCE_MISMATCH: 1 of 4 clips" in answer.err
    assert answer.out.count("SAME        ") == 3
    assert f"DIFFERS     {third.job_id[:12]} clip 1 clip0.mov  made by editor@{HERE.host} process 1" in answer.out
    assert f"SAME        {second.job_id[:12]} clip 1 clip0.mov  made by editor@there process 2" in answer.out
    assert "Encoded again: 4 of 4 clips of 3 finished jobs. 3 the same, 1 different, 0 not judged." in answer.out
    (kept,) = work.rglob("*.mp4")
    assert str(kept) in answer.out
    assert list(files(tmp_path)) == [kept]

    report = call(capsys, *place, "reproduce", "--all", "--sample", "100%", "--work", work, "--json")
    assert (report.status, report.err, report.json["reproduced"], report.code) == (5, "", False, "REPRODUCE_MISMATCH")
    assert report.json["counts"] == {"SAME": 3, "DIFFERS": 1, "NOT JUDGED": 0}
    assert verdicts(report) == {
        (first.job_id, 0): "SAME",
        (first.job_id, 1): "SAME",
        (second.job_id, 0): "SAME",
        (third.job_id, 0): "DIFFERS",
    }
    (row,) = (row for row in report.json["clips"] if row["job_id"] == second.job_id)
    assert row["made_by"]["host"] == "there"
    assert row["found_sha256"] == row["expected_sha256"]


def test_elsewhere_skips_jobs_of_this_host_and_a_sample_is_never_empty(
    fleet: Fleet, unchanged: None, tmp_path: Path, capsys: Capture
) -> None:
    second, work = fleet.second, folder(tmp_path / "work")
    args = (*fleet.place, "reproduce", "--all", "--elsewhere", "--work", work)
    answer = call(capsys, *args, "--sample", "0.0001%")
    assert (answer.status, answer.err) == (0, "")
    assert f"another machine than this one ({HERE.host})" in answer.out
    assert f"Left out: 2 jobs made on this machine ({HERE.host})." in answer.out
    report = call(capsys, *args, "--json")
    assert verdicts(report) == {(second.job_id, 0): "SAME"}
    assert (report.json["jobs"], report.json["of_clips"], report.json["jobs_made_here"]) == (1, 1, 2)
    assert report.json["reproduced"] is True
    assert list(work.iterdir()) == []


def test_clips_that_cannot_be_compared_are_counted_and_are_exit_status_6(tmp_path: Path, capsys: Capture) -> None:
    source = tmp_path / "clip.mov"
    source.write_bytes(half_second("clip.mov").read_bytes())
    store = FileStore(folder(tmp_path / "store"))
    finish(store, tmp_path / "first", 1)
    run(store, create((source,), tmp_path / "second", "prores_proxy"))
    source.unlink()
    (tmp_path / "store/jobs" / finish(store, tmp_path / "third").job_id / "spec.json").unlink()
    answer = call(capsys, "--store", tmp_path / "store", "reproduce", "--all", "--sample", "100%")
    assert answer.status == 6
    assert "REPRODUCE_INCOMPLETE: 2 of 3 clips" in answer.err
    assert "SOURCE_MISSING: The source is not where the spec says it is." in answer.out
    assert "STORE_DAMAGED: " in answer.out
    assert "1 the same, 0 different, 2 not judged." in answer.out


def test_a_store_without_finished_jobs_is_no_failure(tmp_path: Path, capsys: Capture) -> None:
    initialize_store(FileStore(folder(tmp_path / "store")))
    store = ("--store", tmp_path / "store")
    answer = call(capsys, *store, "reproduce", "--all")
    assert (answer.status, answer.out.splitlines()[-1][:40]) == (0, "Encoded again: 0 of 0 clips of 0 finishe")
    report = call(capsys, *store, "reproduce", "--all", "--json")
    assert (report.status, report.json["clips"], report.json["jobs"]) == (0, [], 0)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("x.json", "--all"),
        ("x.json", "--elsewhere"),
        ("x.json", "--since", "2026-01-31"),
        ("--all", "--with-toolchain", "other"),
    ],
)
def test_options_that_do_not_go_together_are_exit_status_2(words: tuple[str, ...], capsys: Capture) -> None:
    assert call(capsys, "reproduce", *words).status == 2


@pytest.mark.parametrize("change", [(), ("--with-toolchain", "static")], ids=["audit", "report"])
def test_ctrl_c_ends_it_cleanly(change: tuple[str, ...], tmp_path: Path) -> None:
    """ffmpeg ends, no folder is left, and the clips compared so far are printed as JSON."""
    long = make("long.mov", *picture("1280x720", "25", "20"), "-c:v", "mpeg4", "-g", "1", "-threads", "1")
    store, work = FileStore(folder(tmp_path / "store")), folder(tmp_path / "work")
    run(store, create((long,), tmp_path / "out", "prores_proxy"))
    args = ("--store", tmp_path / "store", "reproduce", "--all", "--sample", "100%", "--work", work, "--json")
    process = start(*args, *change)
    try:
        while not list(work.rglob("00000.mov")):
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 1
    report = json.loads(output)
    assert report["error"]["code"] == "INTERRUPTED"
    assert report["clips"] == []
    assert list(work.iterdir()) == []


# --- what would change -----------------------------------------------------------------------------------


def test_a_profile_that_relinks_is_exit_status_0(
    fleet: Fleet, unchanged: None, tmp_path: Path, capsys: Capture
) -> None:
    first, second, work = fleet.first, fleet.second, folder(tmp_path / "work")
    smaller = rules(tmp_path / "v2.toml", 'fields = "keep"', 'fields = "deinterlace"')
    smaller.write_text(smaller.read_text("utf-8").replace('mode = "same"', 'mode = "divide"\nn = 2'), "utf-8")
    args = (*fleet.place, "reproduce", "--all", "--sample", "100%", "--with-profile", smaller, "--work", work)
    answer = call(capsys, *args)
    assert (answer.status, answer.err) == (0, "")
    rows = [line.split() for line in answer.out.splitlines()]
    assert ["CHANGES,", "RELINKS", "3"] in rows
    assert ["size", "3", "yes", "320x240", "->", "160x120"] in rows
    assert "Left out: 1 job of other profiles." in answer.out
    report = call(capsys, *args, "--json")
    assert (report.status, report.json["relinks"], report.json["profile"]["version"]) == (0, True, 2)
    assert verdicts(report) == {
        (first.job_id, 0): "CHANGES, RELINKS",
        (first.job_id, 1): "CHANGES, RELINKS",
        (second.job_id, 0): "CHANGES, RELINKS",
    }
    assert report.json["clips"][0]["differences"] == [
        {"name": "size", "old": "320x240", "new": "160x120", "relinks": True}
    ]
    assert list(files(tmp_path)) == [smaller]


def test_a_profile_that_does_not_relink_is_exit_status_5(tmp_path: Path, capsys: Capture) -> None:
    job = create((half_second("clip.mov"), half_second("other.mov")), tmp_path / "out", "prores_proxy")
    store, spec = FileStore(folder(tmp_path / "store")), tmp_path / "job.json"
    run(store, job)
    spec.write_bytes(spec_bytes(job))
    args = ("--store", tmp_path / "store", "reproduce", spec, "--sample", "50%", "--with-profile")
    mono = rules(tmp_path / "mono.toml", 'mode = "tracks"', 'mode = "mono"')
    answer = call(capsys, *args, mono)
    assert answer.status == 5
    assert "WOULD_NOT_RELINK: 1 of 1 clip" in answer.err
    assert "audio.tracks 1 -> 2" in answer.out
    assert "Examined: 1 of 2 clips of 1 job." in answer.out
    never = rules(tmp_path / "never.toml", "rates = []", 'rates = ["24"]')
    report = call(capsys, *args, never, "--json")
    assert (report.status, report.code, report.json["relinks"]) == (5, "WOULD_NOT_RELINK", False)
    (row,) = report.json["clips"]
    assert (row["outlook"], row["problem"]["code"]) == ("WOULD BE REFUSED", "SOURCE_UNSUPPORTED")


def test_another_toolchain_relinks(fleet: Fleet, unchanged: None, tmp_path: Path, capsys: Capture) -> None:
    place = fleet.place
    report = call(capsys, *place, "reproduce", "--all", "--sample", "100%", "--with-toolchain", "full", "--json")
    assert (report.status, report.json["relinks"], report.json["toolchain"]["name"]) == (0, True, "full")
    assert len(report.json["clips"]) == 4
    assert verdicts(report)[fleet.third.job_id, 0] == "CHANGES, RELINKS"
    assert all(row["differences"] == [] for row in report.json["clips"])
    one = call(capsys, *place, "reproduce", tmp_path / "none.json", "--with-toolchain", "full", "--json")
    assert (one.status, one.code) == (3, "SPEC_INVALID")


def test_a_few_clips_are_named_and_the_rest_counted(tmp_path: Path, capsys: Capture) -> None:
    sources = tuple(
        make(f"c{number}.mov", *picture("64x64", seconds="0.08"), *sound(), "-c:v", "mpeg4", "-threads", "1")
        for number in range(8)
    )
    job = create(sources, tmp_path / "out", "prores_proxy")
    store, spec = FileStore(folder(tmp_path / "store")), tmp_path / "job.json"
    run(store, job)
    spec.write_bytes(spec_bytes(job))
    silent = rules(tmp_path / "v2.toml", 'mode = "tracks"', 'mode = "none"')
    answer = call(capsys, "--store", tmp_path / "store", "reproduce", spec, "--with-profile", silent)
    assert answer.status == 5
    assert answer.out.count("WOULD NOT RELINK  ") == 6 + 1  # and once in the table
    assert "... and 2 more; --json lists all" in answer.out


# --- in object storage -----------------------------------------------------------------------------------


def test_store_sources_and_proxies_can_be_in_object_storage(
    bucket: Bucket, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bucket.endpoint.environment.items():
        monkeypatch.setenv(name, value)
    bucket.put("card/clip.mov", half_second("clip.mov").read_bytes())
    place, spec, work = ("--store", f"{bucket.url}/store"), tmp_path / "job.json", folder(tmp_path / "work")
    made = ("create", f"{bucket.url}/card", "--output", f"{bucket.url}/proxies", "--profile", "prores_proxy")
    assert call(capsys, *made, "--spec", spec).status == 0
    assert call(capsys, *place, "run", spec).status == 0
    before = bucket.contents()
    audit = call(capsys, *place, "reproduce", "--all", "--work", work, "--json")
    assert (audit.status, list(verdicts(audit).values())) == (0, ["SAME"])
    mono = rules(tmp_path / "mono.toml", 'mode = "tracks"', 'mode = "mono"')
    report = call(capsys, *place, "reproduce", "--all", "--work", work, "--with-profile", mono, "--json")
    assert (report.status, list(verdicts(report).values())) == (5, ["WOULD NOT RELINK"])
    assert report.json["clips"][0]["new_output"] == f"{bucket.url}/proxies/clip.mov"
    assert bucket.contents() == before
    bucket.delete("card/clip.mov")
    for change in ((), ("--with-toolchain", "full")):
        gone = call(capsys, *place, "reproduce", "--all", "--work", work, *change, "--json")
        assert (gone.status, gone.json["clips"][0]["problem"]["code"]) == (6, "SOURCE_MISSING")
    assert list(work.iterdir()) == []
